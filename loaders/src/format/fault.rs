//! What is wrong with a line, before it is known which line of the file it is.

use slackwater_dataflow::BadRecord;

/// What is wrong with a line.
#[derive(Debug)]
pub(crate) struct Fault {
    /// 0-based, in bytes.
    column: usize,
    bytes: Vec<u8>,
    pub(crate) message: String,
    hint: &'static str,
}

impl Fault {
    pub(crate) fn new(column: usize, bytes: &[u8], message: impl Into<String>) -> Fault {
        // One byte more than is shown, so that the record can tell that there is more.
        let bytes = bytes[..bytes.len().min(BadRecord::BYTES_MAX + 1)].to_vec();
        Fault { column, bytes, message: message.into(), hint: "" }
    }
    pub(crate) fn hint(mut self, hint: &'static str) -> Fault {
        self.hint = hint;
        self
    }
    /// With the file and the 1-based line.
    pub(crate) fn at(self, file: &str, line: u64) -> BadRecord {
        BadRecord::at(file, line, self.column as u64 + 1, self.message).bytes(&self.bytes).hint(self.hint)
    }
}
