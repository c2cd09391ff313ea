//! Consistency models, as data: what a read may miss, when fresh rows travel, where an own increment goes.
//!
//! BSP, SSP: Ho et al. 2013, More effective distributed ML via a stale synchronous parallel parameter server. ESSP: Dai
//! et al. 2015, High-performance distributed ML at scale through parameter server consistency models.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::Error;
use std::fmt;
use std::str::FromStr;

/// Clocks that a worker may be ahead of the slowest under [`Consistency::Async`]: what bounds the memory of updates
/// that are under way.
pub const ASYNC_LEAD_MAX: u64 = 256;

/// The same bound for tables with an update rule other than addition: a worker far ahead would take many steps from one
/// point, since what the rule makes of them is known only when their clocks are closed.
pub const ASYNC_RULED_LEAD_MAX: u64 = 16;

/// What a read of clock `c` may miss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Consistency {
    /// Nothing of the clocks before `c`, and it sees nothing else: the same bits for any number of workers.
    #[default]
    Bsp,
    /// Updates of the last `s` clocks. A worker whose copy is older asks for fresh rows, and waits.
    Ssp(u64),
    /// The same bound as SSP, but fresh rows are sent whenever there are any, whether or not somebody waits.
    Essp(u64),
    /// SSP with a bound within these two, which each worker chooses by how long it waits: as fresh as it can be without
    /// waiting for more than a tenth of the time.
    SspWithin(u64, u64),
    /// ESSP with such a bound.
    EsspWithin(u64, u64),
    /// No bound, but that no worker is more than [`ASYNC_LEAD_MAX`] clocks ahead; rows are sent as updates arrive.
    Async,
}

/// When a shard sends fresh rows to the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// When all workers have finished a clock.
    Frontier,
    /// When a replica asks.
    Pull,
    /// When deltas arrive.
    Arrival,
}

impl Consistency {
    /// How many clocks of others a read may miss.
    pub fn staleness(self) -> u64 {
        match self {
            Consistency::Bsp => 0,
            Consistency::Ssp(s) | Consistency::Essp(s) => s,
            Consistency::SspWithin(_, most) | Consistency::EsspWithin(_, most) => most,
            Consistency::Async => ASYNC_LEAD_MAX,
        }
    }
    /// The staleness that workers begin with; [`staleness`](Consistency::staleness) but where they choose.
    pub fn staleness_at_first(self) -> u64 {
        match self {
            Consistency::SspWithin(least, _) | Consistency::EsspWithin(least, _) => least,
            other => other.staleness(),
        }
    }
    pub(crate) fn refresh(self) -> Refresh {
        match self {
            Consistency::Bsp | Consistency::Essp(_) | Consistency::EsspWithin(..) => Refresh::Frontier,
            Consistency::Ssp(_) | Consistency::SspWithin(..) => Refresh::Pull,
            Consistency::Async => Refresh::Arrival,
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Consistency::Bsp => f.pad("bsp"),
            Consistency::Ssp(s) => f.pad(&format!("ssp:{s}")),
            Consistency::Essp(s) => f.pad(&format!("essp:{s}")),
            Consistency::SspWithin(least, most) => f.pad(&format!("ssp:{least}..{most}")),
            Consistency::EsspWithin(least, most) => f.pad(&format!("essp:{least}..{most}")),
            Consistency::Async => f.pad("async"),
        }
    }
}

impl FromStr for Consistency {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let message = format!(
                "`{text}` is none of bsp, ssp:S, essp:S, async (S: staleness in clocks, or a range of it as 0..8)"
            );
            Error::config("consistency", message)
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let (name, bound) = text.split_once(':').map_or((text, None), |(n, b)| (n, Some(b)));
        let range = bound.and_then(|b| b.split_once(".."));
        if let Some((least, most)) = range {
            let (least, most) = (number(least)?, number(most)?);
            return match name {
                _ if least > most => Err(wrong()),
                "ssp" => Ok(Consistency::SspWithin(least, most)),
                "essp" => Ok(Consistency::EsspWithin(least, most)),
                _ => Err(wrong()),
            };
        }
        match (name, bound.map(number).transpose()?) {
            ("bsp", None) => Ok(Consistency::Bsp),
            ("ssp", Some(s)) => Ok(Consistency::Ssp(s)),
            ("essp", Some(s)) => Ok(Consistency::Essp(s)),
            ("async", None) => Ok(Consistency::Async),
            _ => Err(wrong()),
        }
    }
}

impl From<Consistency> for String {
    fn from(c: Consistency) -> String {
        c.to_string()
    }
}

impl TryFrom<String> for Consistency {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let within = [Consistency::SspWithin(0, 8), Consistency::EsspWithin(3, 3)];
        let others = [Consistency::Bsp, Consistency::Ssp(0), Consistency::Essp(12), Consistency::Async];
        for c in within.into_iter().chain(others) {
            assert_eq!(c.to_string().parse::<Consistency>().unwrap(), c);
        }
        for wrong in
            ["", "ssp", "ssp:", "ssp:-1", "bsp:1", "async:3", "SSP:1", "ssp:5..4", "bsp:0..1", "ssp:..3"]
        {
            assert!(wrong.parse::<Consistency>().unwrap_err().to_string().contains("essp:S"), "{wrong}");
        }
    }
}
