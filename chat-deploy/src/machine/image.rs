//! Which image a new machine is started from: the newest Amazon Linux 2023 for its processor, neither the minimal kind nor
//! those made for containers. A machine that runs keeps the one it has.

use jiff::Timestamp;

use crate::cloud::{Image, ImageQuery};

/// The processors we have a server for, the usual one first.
pub const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// What an image begins with: `al2023-ami-minimal-...` and `al2023-ami-ecs-...` do not.
const PREFIX: &str = "al2023-ami-2023.";

/// What the images are, behind the word image.
pub const KIND: &str = "of Amazon Linux 2023";

/// Returns what to ask the cloud for, all processors at once.
#[must_use]
pub fn query() -> ImageQuery {
    ImageQuery::Named { owner: "amazon", pattern: "al2023-ami-2023.*" }
}

/// Chooses the newest image for a processor.
#[must_use]
pub fn newest<'a>(images: &'a [Image], architecture: &str) -> Option<&'a Image> {
    let suits = |image: &&Image| {
        image.architecture == architecture
            && image.name.starts_with(PREFIX)
            && image.name.ends_with(&format!("-{architecture}"))
    };
    // Of two made at once, for two kernels, always the same.
    images.iter().filter(suits).max_by_key(|image| (&image.created_at, &image.name))
}

/// Returns how many days old an image is; `None` if it does not say when it was made.
#[must_use]
pub fn age_days(image: &Image, now: Timestamp) -> Option<u64> {
    let created_at: Timestamp = image.created_at.parse().ok()?;
    u64::try_from(now.duration_since(created_at).as_hours() / 24).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ImageId;

    fn image(name: &str, created_at: &str) -> Image {
        let architecture = if name.ends_with("arm64") { "arm64" } else { "x86_64" };
        Image {
            id: ImageId::new(format!("ami-{name}")),
            name: name.to_owned(),
            created_at: created_at.to_owned(),
            architecture: architecture.to_owned(),
            root_device: None,
            root_gib: None,
        }
    }

    #[test]
    fn the_newest_of_the_plain_ones() {
        let images = [
            image("al2023-ami-2023.8.20260101.0-kernel-6.1-x86_64", "2026-01-01T00:00:00.000Z"),
            image("al2023-ami-2023.9.20260301.0-kernel-6.1-x86_64", "2026-03-01T00:00:00.000Z"),
            image("al2023-ami-2023.9.20260301.0-kernel-6.12-x86_64", "2026-03-01T00:00:00.000Z"),
            image("al2023-ami-2023.9.20260401.0-kernel-6.1-arm64", "2026-04-01T00:00:00.000Z"),
            image("al2023-ami-minimal-2023.9.20260501.0-kernel-6.1-x86_64", "2026-05-01T00:00:00.000Z"),
            image("al2023-ami-ecs-hvm-2023.0.20260601-kernel-6.1-x86_64", "2026-06-01T00:00:00.000Z"),
            image("al2023-ami-2023.9.20260701.0-kernel-6.1-x86_64-backup", "2026-07-01T00:00:00.000Z"),
        ];
        let name = |architecture| newest(&images, architecture).map(|image| image.name.as_str());
        assert_eq!(name("x86_64"), Some("al2023-ami-2023.9.20260301.0-kernel-6.12-x86_64"));
        assert_eq!(name("arm64"), Some("al2023-ami-2023.9.20260401.0-kernel-6.1-arm64"));
        assert_eq!(name("i386"), None);
    }

    #[test]
    fn age() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let age = |created_at| age_days(&image("x", created_at), now);
        assert_eq!(age("2026-11-20T13:00:00.000Z"), Some(1));
        assert_eq!(age("2026-11-22T11:00:00.000Z"), Some(0));
        assert_eq!(age("2026-12-24T11:00:00.000Z"), None);
        assert_eq!(age("yesterday"), None);
    }
}
