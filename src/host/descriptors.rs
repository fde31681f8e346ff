//! Files that whoever started this program had open.

/// The first descriptor behind standard input, output and error.
const FIRST: i32 = 3;

/// Keeps them from every program that is started from here on: by `/proc/self/fd` a recipe would read and write through them
/// what its sandbox does not show. Descriptors that are passed on purpose are those of standard streams, and made later.
pub fn keep_descriptors() {
    close_fds::set_fds_cloexec(FIRST, &[]);
}
