//! Which device is meant.

use std::fmt;
use std::str::FromStr;

/// The place of a device on the PCI bus: domain, bus, device and function, as in `0000:03:00.0`.
///
/// wgpu gives it as `AdapterInfo::device_pci_bus_id`, on backends that know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// A text that is no PCI address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPciAddress(String);

impl FromStr for PciAddress {
    type Err = NoPciAddress;

    /// Reads `domain:bus:device.function` or `bus:device.function`, in hexadecimal digits; without a domain it is 0.
    fn from_str(text: &str) -> Result<Self, NoPciAddress> {
        let read = || {
            let (place, function) = text.trim().rsplit_once('.')?;
            let (rest, device) = place.rsplit_once(':')?;
            let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
            let number = |digits: &str| {
                let hexadecimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
            };
            Some(Self {
                domain: number(domain)?,
                bus: number(bus)?.try_into().ok()?,
                device: number(device)?.try_into().ok().filter(|&device: &u8| device < 32)?,
                function: number(function)?.try_into().ok().filter(|&function: &u8| function < 8)?,
            })
        };
        read().ok_or_else(|| NoPciAddress(text.chars().take(40).collect()))
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

impl fmt::Display for NoPciAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is no PCI address: one looks like 0000:03:00.0", self.0)
    }
}

impl std::error::Error for NoPciAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_domain() {
        let address: PciAddress = "0000:03:00.0".parse().unwrap();
        assert_eq!("03:00.0".parse(), Ok(address));
        assert_eq!("00000000:03:00.0".parse(), Ok(address), "as NVML writes it");
        assert_eq!(address.to_string(), "0000:03:00.0");
        assert_eq!("10000:E1:1f.7".parse::<PciAddress>().unwrap().to_string(), "10000:e1:1f.7");
        for wrong in
            ["", "03:00", "03:00.8", "03:20.0", "100:00.0", "x:00.0", "+3:00.0", "1:2:3:4.5", "100000000:0:0.0"]
        {
            assert!(wrong.parse::<PciAddress>().is_err(), "{wrong}");
        }
    }
}
