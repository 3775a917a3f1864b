//! Settings that change while the server runs: read again when it is told to, all or nothing.
//!
//! Which of them can be taken over without a restart is in `config::table`. If a mistake is found nothing is, and the server goes
//! on with those it has.

use std::rc::Rc;

use tokio::sync::mpsc;

use crate::config::{Change, Layers, Settings};
use crate::hub::Hub;
use crate::metrics::Reloaded;
use crate::service_manager::ServiceManager;

/// Where a server finds its settings when it is told to read them again.
pub struct Reload {
    layers: Layers,
    requests: mpsc::Receiver<()>,
    set_log_level: Box<dyn Fn(&str)>,
}

/// Tells a server to read its settings again.
#[derive(Clone, Debug)]
pub struct ReloadRequests(mpsc::Sender<()>);

impl Reload {
    /// Makes a source of settings from what they were read from at first; `set_log_level` puts another `log.level` in force.
    pub fn new(layers: Layers, set_log_level: impl Fn(&str) + 'static) -> (ReloadRequests, Self) {
        // One that waits stands for all that come until it is its turn.
        let (sender, requests) = mpsc::channel(1);
        (ReloadRequests(sender), Self { layers, requests, set_log_level: Box::new(set_log_level) })
    }

    /// Reads them whenever it is told to, for ever; `settings` are in force.
    pub(crate) async fn run(
        mut self,
        mut settings: Settings,
        hub: Rc<Hub>,
        manager: Option<Rc<ServiceManager>>,
    ) {
        while self.requests.recv().await.is_some() {
            if let Some(manager) = &manager {
                manager.reloading();
            }
            self.read(&mut settings, &hub).await;
            if let Some(manager) = &manager {
                manager.ready();
            }
        }
        std::future::pending().await
    }

    async fn read(&self, settings: &mut Settings, hub: &Hub) {
        let layers = self.layers.clone();
        // Beside the event loop: the file may be on a disk that hangs.
        let new = match tokio::task::spawn_blocking(move || layers.resolve()).await {
            Ok(Ok(new)) => new,
            Ok(Err(error)) => {
                hub.metrics.count_reload(Reloaded::Refused);
                return tracing::error!(%error, "the settings cannot be read again; those in force stay");
            }
            // The server is stopping.
            Err(_) => return,
        };
        let changes = settings.take_over(&new);
        (self.set_log_level)(&settings.log.level);
        hub.set_limits(settings.limits.clone());
        hub.accounts.set_limits(&settings.accounts);
        hub.metrics.count_reload(Reloaded::Done);
        tracing::info!(changes = changes.len(), "read the settings again");
        for Change { name, from, to, live } in changes {
            if live {
                tracing::info!(setting = name, %from, %to, "in force from now on");
            } else {
                tracing::warn!(setting = name, %from, %to, "in force only after a restart");
            }
        }
    }
}

impl ReloadRequests {
    /// Tells the server; once is enough for several that come before it has begun.
    pub fn send(&self) {
        // It fails if one waits already, or the server has ended.
        let _ = self.0.try_send(());
    }
}
