//! `releases`: what can be rolled back to.

use serde_json::json;

use super::{Context, Outcome, place};
use crate::clock::show_moment;
use crate::error::Error;
use crate::plan::show_bytes;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Error> {
    let session = place::look_at(context)?;
    let state = session.host.state()?;
    for release in &state.releases {
        let is_current = state.current.as_ref() == Some(&release.id);
        let (mark, size) = (if is_current { '*' } else { ' ' }, show_bytes(release.size_bytes));
        let text = format!("{mark} {:<24}  {size:>9}  {}", release.id, show_moment(release.deployed_at));
        let value = json!({
            "release": release.id,
            "current": is_current,
            "digest": release.digest,
            "size_bytes": release.size_bytes,
            "deployed_at": release.deployed_at,
        });
        context.ui.print(&text, &value)?;
    }
    Ok(Outcome::Done)
}
