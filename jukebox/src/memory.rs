//! Keeps freed memory for the next tensor.
//!
//! Every operation on a CPU tensor allocates its result. The system's allocator gives results of more than 32 MiB back
//! to the kernel as soon as they are freed, and smaller ones often, so the next operation gets its memory page by
//! page anew. In training steps that took as much time as half the arithmetic. Holding on to freed memory until the process
//! ends costs no more than the step's own peak, which the next step needs again.

use std::sync::Once;

/// Makes the allocator keep what is freed; from the first call on. Does nothing where the allocator is not glibc's.
pub(crate) fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: sets three numbers of the allocator, under its own lock.
        unsafe {
            // No allocation in a mapping of its own: such a mapping goes back when freed.
            libc::mallopt(libc::M_MMAP_MAX, 0);
            // Do not shrink the heap, and let it grow in steps that are not tiny.
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        }
    });
}
