//! Does nothing; its presence makes the build dependencies count.
fn main() {}
