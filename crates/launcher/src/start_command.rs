//! Which command starts the app.

use std::ffi::OsString;

use lifecycle::staging_info::StagingInfo;

/// The command given by the caller, else the one found by staging; `None` if both are empty.
pub(crate) fn choose(given: &OsString, staged: &StagingInfo) -> Option<OsString> {
    let staged = OsString::from(&staged.start_command);
    [given.clone(), staged].into_iter().find(|command| !command.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_command_wins_over_the_staged_one_and_empty_ones_do_not_count() {
        for (given, staged, chosen) in
            [("a", "b", Some("a")), ("", "b", Some("b")), ("a", "", Some("a")), ("", "", None)]
        {
            let info = StagingInfo { start_command: staged.to_owned(), ..StagingInfo::default() };
            assert_eq!(choose(&given.into(), &info), chosen.map(OsString::from));
        }
    }
}
