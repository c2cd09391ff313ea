//! Texts that are numbers of a dictionary, written out.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;

/// Texts up to this length, in bytes, are copied as a block of it: that takes one load and one store, and no call.
const BLOCK: usize = 16;
/// Offsets count no further.
const TEXT_BYTES_MAX: usize = i32::MAX as usize;

/// The text of every row. About 2 ns a row, where texts are short.
///
/// # Errors
/// A number that the dictionary does not have; more text than 2 GiB.
pub(crate) fn unpack(array: &DictionaryArray<Int32Type>) -> Result<StringArray, ArrowError> {
    let wrong = |what: &str| ArrowError::InvalidArgumentError(format!("texts of a dictionary: {what}"));
    let Some(texts) = array.values().as_string_opt::<i32>() else { return Err(wrong("they are no texts")) };
    if texts.null_count() > 0 {
        return Err(wrong("some are missing"));
    }
    let (numbers, nulls) = (array.keys().values(), array.nulls());
    let (ends, bytes) = (texts.value_offsets(), texts.value_data());
    let text = |number: &i32| ends.get(*number as usize..).and_then(|ends| ends.first_chunk::<2>());
    let add = |sum: usize, [start, end]: &[i32; 2]| sum + (end - start) as usize;
    // Rows without a text have numbers, too: it may be more than there is.
    let most = numbers.iter().filter_map(text).fold(0, add);
    if most > TEXT_BYTES_MAX {
        let there = numbers.iter().enumerate().filter(|(row, _)| array.is_valid(*row));
        if there.filter_map(|(_, number)| text(number)).fold(0, add) > TEXT_BYTES_MAX {
            return Err(wrong("they have more than 2 GiB"));
        }
    }
    let mut out = vec![0; most.min(TEXT_BYTES_MAX) + BLOCK];
    let (mut offsets, mut at) = (Vec::with_capacity(numbers.len() + 1), 0);
    offsets.push(0);
    let mut write = |numbers: &[i32], offsets: &mut Vec<i32>| {
        for number in numbers {
            let Some([start, end]) = text(number) else {
                return Err(wrong(&format!("there is none with number {number}")));
            };
            let (start, length) = (*start as usize, (end - start) as usize);
            match (bytes.get(start..start + BLOCK), out.get_mut(at..at + BLOCK)) {
                // What is beyond the text is overwritten by the next.
                (Some(block), Some(place)) if length <= BLOCK => place.copy_from_slice(block),
                _ => out[at..at + length].copy_from_slice(&bytes[start..start + length]),
            }
            at += length;
            offsets.push(at as i32);
        }
        Ok(at as i32)
    };
    match nulls {
        None => write(numbers, &mut offsets)?,
        Some(nulls) => {
            let mut end = 0;
            for (from, to) in nulls.valid_slices() {
                offsets.resize(from + 1, end);
                end = write(&numbers[from..to], &mut offsets)?;
            }
            offsets.resize(numbers.len() + 1, end);
            end
        }
    };
    out.truncate(at);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, Buffer::from_vec(out), nulls.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int32Array};
    use arrow_cast::cast;
    use arrow_schema::DataType;
    use std::sync::Arc;

    fn of(numbers: Vec<Option<i32>>, texts: &[&str]) -> DictionaryArray<Int32Type> {
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        DictionaryArray::new(Int32Array::from(numbers), texts)
    }

    #[test]
    fn texts_of_all_lengths_are_those_of_a_cast() {
        let texts: Vec<String> = (0..40).map(|n| "aé漢".chars().cycle().take(n * n % 41).collect()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for most in [1, 3, 40] {
            let number = |i: u64| {
                let n = slackwater_dataflow::hash::hash_u64(i * 41 + most);
                (!n.is_multiple_of(5)).then_some((n / 7 % most) as i32)
            };
            let all = of((0..1000).map(number).collect(), &texts[..most as usize]);
            for array in [all.clone(), of((0..50).map(|i| Some(i % most as i32)).collect(), &texts)] {
                let want = cast(&array, &DataType::Utf8).unwrap();
                assert_eq!(&unpack(&array).unwrap(), want.as_string::<i32>());
            }
            let slice = all.slice(123, 456);
            assert_eq!(&unpack(&slice).unwrap(), cast(&slice, &DataType::Utf8).unwrap().as_string::<i32>());
        }
    }

    #[test]
    fn rows_without_a_text_need_no_dictionary() {
        assert_eq!(unpack(&of(vec![None, None], &[])).unwrap(), StringArray::from(vec![None::<&str>; 2]));
        assert_eq!(unpack(&of(vec![], &["a"])).unwrap().len(), 0);
    }

    #[test]
    fn more_text_than_offsets_can_count_is_an_error() {
        let long = "x".repeat(1 << 20);
        let e = unpack(&of(vec![Some(0); 2048], &[&long])).unwrap_err();
        assert!(e.to_string().contains("more than 2 GiB"), "{e}");
    }
}
