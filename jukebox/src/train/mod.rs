//! Training: the data set, and what turns it into weights.

pub mod dataset;
