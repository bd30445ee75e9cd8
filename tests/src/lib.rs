//! What the end-to-end tests share: one set-up of the real program, notebooks, JupyterLab, and a browser that drives it.

pub mod browser;
pub mod devtools;
pub mod jupyterlab;
pub mod notebook;
pub mod picture;
pub mod set_up;
