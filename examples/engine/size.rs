//! Size of a picture, and how the command line names it.

/// Width and height in pixels, both from 1 to 16384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

const LARGEST: u32 = 16_384;

/// Reads `WIDTHxHEIGHT`.
///
/// # Errors
/// Says what was expected.
pub(crate) fn parse_size(text: &str) -> Result<Size, String> {
    let (width, height) = text.split_once('x').ok_or("expected WIDTHxHEIGHT, for example 960x540")?;
    let side = |name: &str, digits: &str| match digits.parse::<u32>() {
        Ok(value) if (1..=LARGEST).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err(format!("the {name} {digits:?} is not a whole number from 1 to {LARGEST}")),
    };
    Ok(Size { width: side("width", width)?, height: side("height", height)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_and_refused_with_a_reason() {
        assert_eq!(parse_size("640x360"), Ok(Size { width: 640, height: 360 }));
        for wrong in ["", "640", "640x", "x360", "0x1", "1x0", "16385x1", "-1x2", "640X360", "1x1x1"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
