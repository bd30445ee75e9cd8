//! The process in which cells run: this program, started a second time by evcxr.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStringExt;

/// Set by evcxr in the cell process.
const IS_CELL_PROCESS: &str = "EVCXR_IS_RUNTIME";
/// Names the prelude's library in the cell process.
pub const LIBRARY_VARIABLE: &str = "JUKEBOX_PRELUDE_LIBRARY";

/// Runs cells, and does not return, if evcxr has started this process to do so.
pub fn run_if_cell_process() {
    if std::env::var_os(IS_CELL_PROCESS).is_none() {
        return;
    }
    end_with_kernel();
    if let Some(library) = std::env::var_os(LIBRARY_VARIABLE)
        && let Err(error) = start_prelude(library.into_vec())
    {
        eprintln!("cannot load the notebook prelude: {error}");
        std::process::exit(1);
    }
    evcxr::runtime_hook();
}

/// Makes the system end this process when the kernel is gone, even while a cell computes.
fn end_with_kernel() {
    // SAFETY: takes no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Loads the prelude ahead of the first cell and hands it the standard streams.
fn start_prelude(library: Vec<u8>) -> Result<(), String> {
    let library = CString::new(library).map_err(|error| error.to_string())?;
    // SAFETY: the strings end with NUL. The library is the one that this version of the kernel built, in which the symbol is a
    // function of this type; it is never unloaded.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL);
        if handle.is_null() {
            return Err(last_error());
        }
        let start = libc::dlsym(handle, c"jukebox_cell_start".as_ptr());
        if start.is_null() {
            return Err(last_error());
        }
        match std::mem::transmute::<*mut c_void, extern "C" fn() -> i32>(start)() {
            0 => Ok(()),
            code => Err(std::io::Error::from_raw_os_error(code).to_string()),
        }
    }
}

fn last_error() -> String {
    // SAFETY: `dlerror` returns null or a string that stays valid until the next call on this thread.
    unsafe {
        let message: *const c_char = libc::dlerror();
        if message.is_null() {
            String::new()
        } else {
            CStr::from_ptr(message).to_string_lossy().into_owned()
        }
    }
}
