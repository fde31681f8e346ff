//! Switches the loopback device of a new network namespace on: rtnetlink(7).

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const RTM_NEWLINK: u16 = 16;
const REQUEST_AND_ACK: u16 = 0x1 | 0x4;
const IFF_UP: u32 = 1;
/// The first device of every network namespace.
const LOOPBACK: i32 = 1;
/// `struct nlmsghdr` and `struct ifinfomsg`.
const LENGTH: u32 = 32;

/// Switches it on.
pub(super) fn up() -> io::Result<()> {
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    // A number of the message, and the sender's address, which the kernel fills in.
    message.extend([1u32, 0].map(u32::to_ne_bytes).concat());
    // Family and device type: any.
    message.extend([0u8; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend([IFF_UP, IFF_UP].map(u32::to_ne_bytes).concat());
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0u8; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // An acknowledgement is `struct nlmsghdr` and an error number, 0 for success.
    let code = answer[..length].get(16..20).and_then(|c| c.try_into().ok()).map_or(-1, i32::from_ne_bytes);
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}
