//! The terminal modes of a `pty-req` (RFC 4254, section 8; contract sshd 9.3), and what they mean to
//! Linux.

use nix::sys::termios::SpecialCharacterIndices as Character;
use nix::sys::termios::{
    BaudRate, ControlFlags, InputFlags, LocalFlags, OutputFlags, Termios, cfsetispeed, cfsetospeed,
};

/// One mode: what it is, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The protocol's number of it.
    pub opcode: u8,
    /// A character, 0 or 1, or bits per second.
    pub value: u32,
}

/// Ends a list of modes.
const END: u8 = 0;
/// The first opcode whose argument has another form, which nobody has defined.
const FIRST_UNDEFINED: u8 = 160;

/// The modes in `encoded`, in order. Whatever can't be read ends the list.
pub fn parse(encoded: &[u8]) -> impl Iterator<Item = Mode> {
    encoded
        .chunks(5)
        .map_while(|chunk| match *chunk {
            [opcode, a, b, c, d] => Some(Mode { opcode, value: u32::from_be_bytes([a, b, c, d]) }),
            _ => None,
        })
        .take_while(|mode| (END + 1..FIRST_UNDEFINED).contains(&mode.opcode))
}

/// Sets `mode`. `false` if it is none that this system has.
pub fn apply(terminal: &mut Termios, mode: Mode) -> bool {
    let on = mode.value != 0;
    if let Some(character) = character(mode.opcode) {
        terminal.control_chars[character as usize] = control_character(mode.value);
    } else if let Some(flag) = input_flag(mode.opcode) {
        terminal.input_flags.set(flag, on);
    } else if let Some(flag) = local_flag(mode.opcode) {
        terminal.local_flags.set(flag, on);
    } else if let Some(flag) = output_flag(mode.opcode) {
        terminal.output_flags.set(flag, on);
    } else {
        return apply_control(terminal, mode);
    }
    true
}

/// What the protocol calls "no character" (255) is 0 to Linux.
fn control_character(value: u32) -> u8 {
    match value.to_be_bytes() {
        [0, 0, 0, 255] => 0,
        [_, _, _, character] => character,
    }
}

fn character(opcode: u8) -> Option<Character> {
    Some(match opcode {
        1 => Character::VINTR,
        2 => Character::VQUIT,
        3 => Character::VERASE,
        4 => Character::VKILL,
        5 => Character::VEOF,
        6 => Character::VEOL,
        7 => Character::VEOL2,
        8 => Character::VSTART,
        9 => Character::VSTOP,
        10 => Character::VSUSP,
        12 => Character::VREPRINT,
        13 => Character::VWERASE,
        14 => Character::VLNEXT,
        18 => Character::VDISCARD,
        _ => return None,
    })
}

fn input_flag(opcode: u8) -> Option<InputFlags> {
    Some(match opcode {
        30 => InputFlags::IGNPAR,
        31 => InputFlags::PARMRK,
        32 => InputFlags::INPCK,
        33 => InputFlags::ISTRIP,
        34 => InputFlags::INLCR,
        35 => InputFlags::IGNCR,
        36 => InputFlags::ICRNL,
        38 => InputFlags::IXON,
        39 => InputFlags::IXANY,
        40 => InputFlags::IXOFF,
        41 => InputFlags::IMAXBEL,
        42 => InputFlags::IUTF8,
        _ => return None,
    })
}

fn local_flag(opcode: u8) -> Option<LocalFlags> {
    Some(match opcode {
        50 => LocalFlags::ISIG,
        51 => LocalFlags::ICANON,
        53 => LocalFlags::ECHO,
        54 => LocalFlags::ECHOE,
        55 => LocalFlags::ECHOK,
        56 => LocalFlags::ECHONL,
        57 => LocalFlags::NOFLSH,
        58 => LocalFlags::TOSTOP,
        59 => LocalFlags::IEXTEN,
        60 => LocalFlags::ECHOCTL,
        61 => LocalFlags::ECHOKE,
        62 => LocalFlags::PENDIN,
        _ => return None,
    })
}

fn output_flag(opcode: u8) -> Option<OutputFlags> {
    Some(match opcode {
        70 => OutputFlags::OPOST,
        72 => OutputFlags::ONLCR,
        73 => OutputFlags::OCRNL,
        74 => OutputFlags::ONOCR,
        75 => OutputFlags::ONLRET,
        _ => return None,
    })
}

/// Sizes of characters, parity and speeds. A size that is off (`CS7` with 0) chooses nothing.
fn apply_control(terminal: &mut Termios, mode: Mode) -> bool {
    let on = mode.value != 0;
    let flags = &mut terminal.control_flags;
    match mode.opcode {
        90 if on => choose(flags, ControlFlags::CS7),
        91 if on => choose(flags, ControlFlags::CS8),
        90 | 91 => {}
        92 => flags.set(ControlFlags::PARENB, on),
        93 => flags.set(ControlFlags::PARODD, on),
        128 => return speed(mode.value).is_some_and(|rate| cfsetispeed(terminal, rate).is_ok()),
        129 => return speed(mode.value).is_some_and(|rate| cfsetospeed(terminal, rate).is_ok()),
        _ => return false,
    }
    true
}

fn choose(flags: &mut ControlFlags, size: ControlFlags) {
    flags.remove(ControlFlags::CSIZE);
    flags.insert(size);
}

/// The rate of so many bits per second. 0, which would hang up, is none.
fn speed(bits_per_second: u32) -> Option<BaudRate> {
    Some(match bits_per_second {
        50 => BaudRate::B50,
        75 => BaudRate::B75,
        110 => BaudRate::B110,
        134 => BaudRate::B134,
        150 => BaudRate::B150,
        200 => BaudRate::B200,
        300 => BaudRate::B300,
        600 => BaudRate::B600,
        1200 => BaudRate::B1200,
        1800 => BaudRate::B1800,
        2400 => BaudRate::B2400,
        4800 => BaudRate::B4800,
        9600 => BaudRate::B9600,
        19200 => BaudRate::B19200,
        38400 => BaudRate::B38400,
        57600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        460_800 => BaudRate::B460800,
        500_000 => BaudRate::B500000,
        576_000 => BaudRate::B576000,
        921_600 => BaudRate::B921600,
        1_000_000 => BaudRate::B1000000,
        1_152_000 => BaudRate::B1152000,
        1_500_000 => BaudRate::B1500000,
        2_000_000 => BaudRate::B2000000,
        2_500_000 => BaudRate::B2500000,
        3_000_000 => BaudRate::B3000000,
        3_500_000 => BaudRate::B3500000,
        4_000_000 => BaudRate::B4000000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use nix::pty::openpty;
    use nix::sys::termios::{SetArg, cfgetospeed, tcgetattr, tcsetattr};
    use proptest::prelude::*;

    use super::*;

    fn modes(encoded: &[u8]) -> Vec<(u8, u32)> {
        parse(encoded).map(|mode| (mode.opcode, mode.value)).collect()
    }

    #[test]
    fn lists_end_at_zero_at_undefined_opcodes_and_where_they_are_cut() {
        assert_eq!(modes(&[1, 0, 0, 0, 3, 53, 0, 0, 0, 1, 0]), [(1, 3), (53, 1)]);
        assert_eq!(modes(&[1, 0, 0, 0, 3, 0, 53, 0, 0, 0, 1]), [(1, 3)]);
        assert_eq!(modes(&[1, 0, 0, 0, 3, 160, 0, 0, 0, 1, 53, 0, 0, 0, 1]), [(1, 3)]);
        assert_eq!(modes(&[1, 0, 0, 0, 3, 53, 0, 0, 1]), [(1, 3)]);
        // An opcode that nobody knows is an element like any other.
        assert_eq!(modes(&[159, 0, 0, 0, 3, 53, 0, 0, 0, 1]), [(159, 3), (53, 1)]);
        assert_eq!(modes(&[]), []);
    }

    /// A terminal's settings after `modes`, as the kernel has them.
    fn applied(modes: &[(u8, u32)]) -> Termios {
        let pty = openpty(None, None).unwrap();
        let mut settings = tcgetattr(&pty.master).unwrap();
        for &(opcode, value) in modes {
            assert!(apply(&mut settings, Mode { opcode, value }), "{opcode}");
        }
        tcsetattr(&pty.master, SetArg::TCSANOW, &settings).unwrap();
        tcgetattr(&pty.slave).unwrap()
    }

    #[test]
    fn characters_flags_and_speeds_reach_the_terminal() {
        let modes =
            [(1, 24), (5, 26), (42, 1), (36, 0), (53, 0), (72, 0), (128, 115_200), (129, 9600)];
        let settings = applied(&modes);
        assert_eq!(settings.control_chars[Character::VINTR as usize], 24);
        assert_eq!(settings.control_chars[Character::VEOF as usize], 26);
        assert!(settings.input_flags.contains(InputFlags::IUTF8));
        assert!(!settings.input_flags.contains(InputFlags::ICRNL));
        assert!(!settings.local_flags.contains(LocalFlags::ECHO));
        assert!(!settings.output_flags.contains(OutputFlags::ONLCR));
        assert_eq!(cfgetospeed(&settings), BaudRate::B9600);
    }

    // In the predecessor the number of the opcode chose the size, whatever its value.
    #[test]
    fn a_character_size_that_is_off_chooses_nothing() {
        let size = |modes: &[(u8, u32)]| applied(modes).control_flags & ControlFlags::CSIZE;
        assert_eq!(size(&[(90, 0), (91, 1)]), ControlFlags::CS8);
        assert_eq!(size(&[(91, 1), (90, 0)]), ControlFlags::CS8);
    }

    // The predecessor made it the character 255, which is a letter in ISO 8859-1.
    #[test]
    fn a_character_of_255_is_disabled() {
        assert_eq!(applied(&[(1, 255)]).control_chars[Character::VINTR as usize], 0);
        assert_eq!(applied(&[(1, 0x1FF)]).control_chars[Character::VINTR as usize], 255);
    }

    #[test]
    fn unknown_modes_change_nothing() {
        let pty = openpty(None, None).unwrap();
        let before = tcgetattr(&pty.master).unwrap();
        for (opcode, value) in [(11, 1), (19, 1), (37, 1), (71, 1), (127, 1), (128, 0), (129, 31)] {
            let mut settings = before.clone();
            assert!(!apply(&mut settings, Mode { opcode, value }), "{opcode}");
            assert_eq!(settings, before);
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read_and_applied_without_a_panic(encoded: Vec<u8>) {
            let pty = openpty(None, None).unwrap();
            let mut settings = tcgetattr(&pty.master).unwrap();
            for mode in parse(&encoded) {
                apply(&mut settings, mode);
            }
        }
    }
}
