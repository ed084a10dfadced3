//! What the store remembers of the requests of a segment, so that a program that comes later continues instead of
//! starting anew: a page may live for less time than a request takes.

use crate::base::time::Millis;

/// The requests of one event. Times are counted from now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventProgress {
    /// In how many requests it was.
    pub attempts: u32,
    /// How long the last one may still be in flight.
    pub in_flight: Millis,
    /// How long it waits for a retry.
    pub retry: Millis,
}

/// The requests of the events of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many requests to the server have failed in a row.
    pub failures: u32,
    /// How long the next request has to wait because of that.
    pub backoff: Millis,
    /// One for each event.
    pub events: Vec<EventProgress>,
}

impl Progress {
    /// Whether there is something to remember.
    pub fn is_empty(&self) -> bool {
        self.failures == 0 && self.events.iter().all(|event| *event == EventProgress::default())
    }

    /// As numbers: `failures`, `backoff`, then three for each event.
    pub fn to_numbers(&self) -> Vec<u32> {
        let millis = |time: Millis| u32::try_from(time.0).unwrap_or(u32::MAX);
        let mut numbers = vec![self.failures, millis(self.backoff)];
        for event in &self.events {
            numbers.extend_from_slice(&[event.attempts, millis(event.in_flight), millis(event.retry)]);
        }
        numbers
    }

    /// From the numbers of `to_numbers`. `None` if they are not for so many events.
    pub fn from_numbers(numbers: &[u32], events: u32) -> Option<Self> {
        let (&[failures, backoff], each) = numbers.split_first_chunk::<2>()?;
        let (each, rest) = each.as_chunks::<3>();
        let events = (each.len() == events as usize && rest.is_empty()).then(|| {
            let event = |&[attempts, in_flight, retry]: &[u32; 3]| EventProgress {
                attempts,
                in_flight: Millis(in_flight.into()),
                retry: Millis(retry.into()),
            };
            each.iter().map(event).collect()
        })?;
        Some(Self { failures, backoff: Millis(backoff.into()), events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_the_events_are_ignored() {
        let event = EventProgress { attempts: 2, in_flight: Millis(0), retry: Millis(900) };
        let progress = Progress { failures: 3, backoff: Millis(70), events: vec![event; 2] };
        let numbers = progress.to_numbers();
        assert_eq!(Progress::from_numbers(&numbers, 2), Some(progress));
        for bad in [&numbers[..7], &numbers[..5], &[][..], &[1][..]] {
            assert_eq!(Progress::from_numbers(bad, 2), None);
        }
    }
}
