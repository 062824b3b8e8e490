//! READDIR: the entries of a directory, each with a line as `ls -l` has it.

use std::fs::File;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, RawDir, Stat, statat};
use rustix::io;

use crate::calendar::civil;
use crate::sftp::accounts::Accounts;
use crate::sftp::attributes::Attributes;
use crate::sftp::replies::{Entry, Replies};

/// What is asked of the system at a time, in bytes. Entries take at most ten times that in an answer,
/// which has to fit a packet.
const BATCH: usize = 16 * 1024;

/// Half a year, in seconds: files older or newer than that show their year instead of the time of day.
const RECENT: i64 = 365 * 24 * 3600 / 2;

/// Answers with the next entries of `directory`, without `.` and `..` (contract sshd 12). Gives how
/// many they are: none at the end.
pub(super) fn next_entries(
    directory: &File,
    accounts: &Accounts,
    replies: &mut Replies,
) -> io::Result<u32> {
    let mut batch = [MaybeUninit::uninit(); BATCH];
    let mut entries = RawDir::new(directory, &mut batch);
    let now = now();
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            _ if matches!(name.to_bytes(), b"." | b"..") => {}
            // Removed since.
            Err(io::Errno::NOENT) => {}
            Ok(file) => {
                let line = line(name.to_bytes(), &file, accounts, now);
                replies.entry(&Entry {
                    name: name.to_bytes(),
                    line: &line,
                    attributes: Attributes::from(&file),
                });
                count += 1;
            }
            // A directory whose files may not be looked at still has names.
            Err(_) => {
                replies.entry(&Entry {
                    name: name.to_bytes(),
                    line: name.to_bytes(),
                    attributes: Attributes::default(),
                });
                count += 1;
            }
        }
        if count > 0 && entries.is_buffer_empty() {
            break;
        }
    }
    Ok(count)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// `-rw-r--r--    1 root     root         1234 Jan  2 15:04 name`, as the predecessor has it.
fn line(name: &[u8], file: &Stat, accounts: &Accounts, now: i64) -> Vec<u8> {
    let mode = mode(file.st_mode);
    let mut line = format!("{mode} {:4} ", file.st_nlink).into_bytes();
    for (owner, id) in
        [(accounts.user(file.st_uid), file.st_uid), (accounts.group(file.st_gid), file.st_gid)]
    {
        let number = id.to_string();
        let owner = owner.unwrap_or(number.as_bytes());
        line.extend_from_slice(owner);
        line.resize(line.len() + 8_usize.saturating_sub(owner.len()) + 1, b' ');
    }
    line.extend_from_slice(format!("{:8} {} ", file.st_size, date(file.st_mtime, now)).as_bytes());
    line.extend_from_slice(name);
    line
}

/// `drwxr-xr-x`, with `s`, `S`, `t` and `T` for the special bits.
fn mode(mode: u32) -> String {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::BlockDevice => 'b',
        FileType::CharacterDevice => 'c',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// `Jan  2 15:04`, or `Jan  2  2006` where that is half a year away; in UTC.
fn date(seconds: i64, now: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let month = MONTHS[month - 1];
    if seconds.abs_diff(now) > RECENT.unsigned_abs() {
        return format!("{month} {day:2}  {year:4}");
    }
    let minutes = seconds.rem_euclid(86_400) / 60;
    format!("{month} {day:2} {:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        for (bits, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o102_644, "-rw-r-Sr--"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_776, "drwxrwxrwT"),
            (0o010_600, "prw-------"),
            (0o140_600, "srw-------"),
            (0o020_600, "crw-------"),
            (0o060_600, "brw-------"),
        ] {
            assert_eq!(mode(bits), text);
        }
    }

    #[test]
    fn dates_have_the_time_of_day_within_half_a_year() {
        // `date -u -d @N`, of leap days, turns of years and times before 1970.
        for (seconds, text) in [
            (0, "Jan  1  1970"),
            (-1, "Dec 31  1969"),
            (951_782_400, "Feb 29  2000"),
            (1_709_164_800, "Feb 29  2024"),
            (4_107_542_400, "Mar  1  2100"),
            (4_294_967_295, "Feb  7  2106"),
            (-2_208_988_800, "Jan  1  1900"),
        ] {
            assert_eq!(date(seconds, 1_795_246_650), text, "{seconds}");
        }
        assert_eq!(date(1_795_246_650, 1_795_246_650), "Nov 21 07:37");
        assert_eq!(date(1_795_246_650 - RECENT, 1_795_246_650), "May 22 19:37");
        assert_eq!(date(1_795_246_650 - RECENT - 1, 1_795_246_650), "May 22  2026");
    }

    #[test]
    fn impossible_times_are_no_panic() {
        for seconds in [i64::MIN, i64::MAX] {
            assert!(!date(seconds, 0).is_empty());
        }
    }
}
