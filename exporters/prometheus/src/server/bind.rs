//! Finds a port and opens the listening sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Both loopback addresses, IPv4 and (where the machine has it) IPv6.
    Loopback { port: u16 },
    /// One address that the application named.
    Address(SocketAddr),
}

/// How many ports after a taken one are tried before any free one is taken.
pub(crate) const NEXT_PORTS: u16 = 16;

/// Connections that the system may hold before they are accepted.
const BACKLOG: u32 = 1024;

impl Listen {
    fn port(self) -> u16 {
        match self {
            Self::Loopback { port } => port,
            Self::Address(address) => address.port(),
        }
    }

    /// Opens the sockets. A taken port gives way to the next free one unless `exact`; port 0 is any free one.
    ///
    /// # Errors
    /// What the system said, with the address in the message.
    pub(crate) fn open(self, exact: bool) -> io::Result<Vec<TcpListener>> {
        let port = self.port();
        let last = if exact || port == 0 { port } else { port.saturating_add(NEXT_PORTS) };
        let any = if exact { None } else { Some(0) };
        // Any free IPv4 port may be taken on IPv6, so that one is tried more than once.
        let tries = (port..=last).chain(any.into_iter().cycle().take(8));
        let mut taken = io::Error::new(ErrorKind::AddrInUse, "no port was tried");
        for port in tries {
            match self.open_at(port) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => taken = error,
                done => return done,
            }
        }
        Err(taken)
    }

    fn open_at(self, port: u16) -> io::Result<Vec<TcpListener>> {
        match self {
            Self::Address(address) => Ok(vec![open(SocketAddr::new(address.ip(), port))?]),
            Self::Loopback { .. } => {
                let v4 = open((Ipv4Addr::LOCALHOST, port).into())?;
                let port = v4.local_addr()?.port();
                match open((Ipv6Addr::LOCALHOST, port).into()) {
                    Ok(v6) => Ok(vec![v4, v6]),
                    // Someone else's: `localhost` would reach them and not us.
                    Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
                    // A machine without IPv6.
                    Err(_) => Ok(vec![v4]),
                }
            }
        }
    }
}

/// The addresses that the sockets are bound to.
pub(crate) fn addresses(listeners: &[TcpListener]) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(named)?;
    // On Windows this option would let two programs share the port; on Unix it only skips the wait after a restart.
    #[cfg(unix)]
    socket.set_reuseaddr(true).map_err(named)?;
    socket.bind(address).map_err(named)?;
    socket.listen(BACKLOG).map_err(named)
}
