//! The command, run as a user runs it: a process, its output, its exit code, the files that it leaves.

mod bad_input;
mod chain;
mod cluster;
mod clusters;
mod common;
mod demos;
mod deploy;
mod dictionaries;
mod documents;
mod events;
mod help;
mod hosts;
mod interrupt;
mod lasso;
mod metrics;
mod networks;
mod object_store;
mod output;
mod ratings;
mod recovery;
mod scale;
mod settings;
mod spark;
mod sparse_logistic;
mod structured;
mod tables;
