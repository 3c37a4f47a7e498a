//! Days of the catalogue.

use time::{Date, Month};

/// The first moment in UTC of a day such as `2026-11-24`, in milliseconds since the Unix epoch. `None`: it is no day, or one
/// before 1970.
pub(super) fn epoch_ms(day: &str) -> Option<u64> {
    let mut parts = day.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    u64::try_from(date.midnight().assume_utc().unix_timestamp()).ok().map(|seconds| seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(epoch_ms("1970-01-02"), Some(86_400_000));
        assert_eq!(epoch_ms("2026-11-24"), Some(1_795_478_400_000));
        for no_day in ["", "2026-11", "2026-13-01", "2026-02-30", "soon", "1969-12-31"] {
            assert_eq!(epoch_ms(no_day), None, "{no_day}");
        }
    }
}
