//! Days, ISO weeks and months, in UTC.

use time::{Date, Duration as Days, Month, OffsetDateTime};

/// What a budget holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Daily,
    /// From Monday to Sunday.
    Weekly,
    /// From the first to the last of a month.
    Monthly,
}

impl Period {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Period::Daily, Period::Weekly, Period::Monthly];

    /// Its word in paths and replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Period::Daily => "daily",
            Period::Weekly => "weekly",
            Period::Monthly => "monthly",
        }
    }

    /// The period that is called so. `None`: none is.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == word)
    }

    /// The name of the one that holds `date`, such as `2026-11-24`, `2026-W48` or `2026-11` (ISO 8601). Names of one kind are in
    /// the order of time.
    pub(super) fn name(self, date: Date) -> String {
        match self {
            Period::Daily => format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()),
            Period::Weekly => {
                let (year, week, _) = date.to_iso_week_date();
                format!("{year:04}-W{week:02}")
            }
            Period::Monthly => format!("{:04}-{:02}", date.year(), u8::from(date.month())),
        }
    }

    /// The first day of the one that holds `date`.
    pub(super) fn first_day(self, date: Date) -> Date {
        match self {
            Period::Daily => date,
            Period::Weekly => date.saturating_sub(Days::days(i64::from(date.weekday().number_days_from_monday()))),
            Period::Monthly => date.replace_day(1).unwrap_or(date),
        }
    }

    /// The first day of the next one.
    pub(super) fn next_first_day(self, date: Date) -> Date {
        let first = self.first_day(date);
        match self {
            Period::Daily => first.saturating_add(Days::DAY),
            Period::Weekly => first.saturating_add(Days::WEEK),
            Period::Monthly => {
                let year = if first.month() == Month::December { first.year() + 1 } else { first.year() };
                Date::from_calendar_date(year, first.month().next(), 1).unwrap_or(Date::MAX)
            }
        }
    }

    /// The last day of the one before.
    pub(super) fn day_before(self, date: Date) -> Date {
        self.first_day(date).saturating_sub(Days::DAY)
    }
}

/// The day that holds a moment, in milliseconds since the Unix epoch.
pub(super) fn day(epoch_ms: u64) -> Date {
    let seconds = i64::try_from(epoch_ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date)
}

/// When a day begins, in milliseconds since the Unix epoch.
pub(super) fn begins_ms(date: Date) -> u64 {
    let seconds = date.midnight().assume_utc().unix_timestamp();
    u64::try_from(seconds).unwrap_or_default().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        let parts: Vec<i32> = text.split('-').map(|part| part.parse().unwrap()).collect();
        let month = Month::try_from(u8::try_from(parts[1]).unwrap()).unwrap();
        Date::from_calendar_date(parts[0], month, u8::try_from(parts[2]).unwrap()).unwrap()
    }

    #[test]
    fn periods_end_where_calendars_say() {
        // Day, the week's first day and name, the next week's first day, the next month's first day.
        for (day, monday, week, next_monday, next_first) in [
            ("2026-11-24", "2026-11-23", "2026-W48", "2026-11-30", "2026-12-01"),
            ("2026-11-30", "2026-11-30", "2026-W49", "2026-12-07", "2026-12-01"),
            ("2026-12-31", "2026-12-28", "2026-W53", "2027-01-04", "2027-01-01"),
            ("2027-01-01", "2026-12-28", "2026-W53", "2027-01-04", "2027-02-01"),
            ("2024-02-28", "2024-02-26", "2024-W09", "2024-03-04", "2024-03-01"),
            ("2024-02-29", "2024-02-26", "2024-W09", "2024-03-04", "2024-03-01"),
            ("2025-02-28", "2025-02-24", "2025-W09", "2025-03-03", "2025-03-01"),
            ("2024-12-30", "2024-12-30", "2025-W01", "2025-01-06", "2025-01-01"),
        ] {
            let day = date(day);
            assert_eq!(Period::Weekly.first_day(day), date(monday));
            assert_eq!(Period::Weekly.name(day), week);
            assert_eq!(Period::Weekly.next_first_day(day), date(next_monday));
            assert_eq!(Period::Monthly.next_first_day(day), date(next_first));
            assert_eq!(Period::Daily.next_first_day(day), day.next_day().unwrap());
        }
        assert_eq!(Period::Monthly.day_before(date("2024-03-31")), date("2024-02-29"));
        assert_eq!(Period::Weekly.day_before(date("2027-01-01")), date("2026-12-27"));
    }

    #[test]
    fn every_day_of_a_century_is_in_one_period_of_each_kind() {
        let (mut today, last) = (date("1999-12-31"), date("2101-01-01"));
        while today < last {
            let tomorrow = today.next_day().unwrap();
            for period in Period::ALL {
                let (first, end) = (period.first_day(today), period.next_first_day(today));
                assert!(first <= today && today < end);
                assert_eq!(period.first_day(end), end);
                assert_eq!(period.first_day(period.day_before(today)), period.first_day(first.previous_day().unwrap()));
                // Tomorrow is in the same one, or it begins the next, whose name comes later.
                let (name, next) = (period.name(today), period.name(tomorrow));
                assert!(
                    if tomorrow < end { name == next } else { tomorrow == end && name < next },
                    "{today} {period:?}"
                );
            }
            assert_eq!((day(begins_ms(today)), day(begins_ms(tomorrow) - 1)), (today, today));
            today = tomorrow;
        }
    }
}
