//! The server as a whole: puts listener, room, accounts and keys together, runs them on one thread, and stops cleanly.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::noise::Fingerprint;
use chat_core::rsa::hazmat::{CharacterDecryptor, Decryptor};
use tokio::runtime::LocalRuntime;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::accounts::{Accounts, AccountsError};
use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::Settings;
use crate::control::ControlSocket;
use crate::data::{DataDirectory, DataError};
use crate::delivery::{Bounds, Delivery};
use crate::hub::{Hub, Keys};
use crate::listener;
use crate::metrics::Endpoint;
use crate::packet_log::PacketLog;
use crate::reactor::Reactor;
use crate::reload::Reload;
use crate::service_manager::ServiceManager;

/// How long a server that stops may take to answer, and clients to read what waits for them, together.
const FAREWELL: Duration = Duration::from_secs(2);

/// A server that owns its socket and its data directory and is ready to run.
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    fingerprint: Fingerprint,
    settings: Settings,
    clock: Clock,
    accounts: Accounts,
    keys: Keys,
    log: Option<PacketLog>,
    manager: Option<ServiceManager>,
    reload: Option<Reload>,
    control: Option<ControlSocket>,
    metrics: Option<Endpoint>,
    // Holds the directory's lock as long as the server lives; last, so that everything else in it is let go of before.
    data: DataDirectory,
}

/// Why a server cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A listening socket that was handed over cannot be used.
    #[error("cannot use the socket that was handed over")]
    HandedOver(#[source] std::io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The accounts cannot be used.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The packet log cannot be written.
    #[error("cannot write the packet log {}", path.display())]
    PacketLog {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address for metrics cannot be listened on.
    #[error("cannot listen on {address} for metrics")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no event loop, or it cannot go on.
    #[error("the event loop failed")]
    Runtime(#[source] std::io::Error),
    /// The server's thread ended by a bug.
    #[error("the server's thread panicked")]
    Panicked,
}

impl ServerError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } => listen_hint(*address, source.kind()),
            Self::Data(error) => error.hint(),
            Self::Accounts(error) => error.hint(),
            Self::PacketLog { .. } => {
                Some("name a file that this user may write to, with --packet-log FILE".into())
            }
            Self::Metrics { address, source } => metrics_hint(*address, source),
            Self::HandedOver(_) | Self::Runtime(_) | Self::Panicked => None,
        }
    }
}

fn listen_hint(address: SocketAddr, kind: std::io::ErrorKind) -> Option<String> {
    let port = address.port();
    match kind {
        std::io::ErrorKind::AddrInUse => Some(format!(
            "another program listens on port {port}; stop it (`ss -ltnp 'sport = :{port}'` names it) or choose another \
             port with --port"
        )),
        std::io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 are for root; choose another with --port".into())
        }
        std::io::ErrorKind::AddrNotAvailable => Some(format!(
            "{} is not an address of this machine; 0.0.0.0 listens on all of them",
            address.ip()
        )),
        _ => None,
    }
}

fn metrics_hint(address: SocketAddr, error: &std::io::Error) -> Option<String> {
    let port = address.port();
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Some(format!(
            "another program listens on port {port}; stop it (`ss -ltnp 'sport = :{port}'` names it) or choose another \
             with metrics.address"
        )),
        std::io::ErrorKind::AddrNotAvailable => {
            Some(format!("{} is not an address of this machine; choose another with metrics.address", address.ip()))
        }
        // What a sandbox says that has no network, by its kind of address or by a filter.
        _ if is_sandbox(error) => Some(
            "the service's sandbox has no network: read the metrics with `chat-server metrics`, or open the sandbox as \
             docs/operations.md says under \"Metrics\"; without metrics.address the server starts"
                .into(),
        ),
        _ => None,
    }
}

fn is_sandbox(error: &std::io::Error) -> bool {
    let refusals = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::PERM, rustix::io::Errno::ACCESS];
    refusals.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Server {
    /// Takes the address and the data directory; makes identity and keys if this is the first start. Connections may come
    /// from now on; they are answered once the server runs.
    ///
    /// # Errors
    ///
    /// [`ServerError`], with nothing left running.
    pub fn bind(settings: Settings, clock: Clock) -> Result<Self, ServerError> {
        let wanted = SocketAddr::new(settings.host, settings.port);
        let listen = |source| ServerError::Listen { address: wanted, source };
        let listener = listener::bind(wanted).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Self::on(listener, address, settings, clock)
    }

    /// As [`Server::bind`], but on a socket that listens already, whatever address the settings name: a service manager
    /// that holds it lets connections wait while the server is restarted.
    ///
    /// # Errors
    ///
    /// [`ServerError`], with nothing left running.
    pub fn take_over(
        listener: std::net::TcpListener,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        listener::adopt(&listener).map_err(ServerError::HandedOver)?;
        let address = listener.local_addr().map_err(ServerError::HandedOver)?;
        Self::on(listener, address, settings, clock)
    }

    fn on(
        listener: std::net::TcpListener,
        address: SocketAddr,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        let data = DataDirectory::open(&settings.data)?;
        let identity = data.identity()?;
        let classic = data.classic_keys(settings.keys)?;
        let accounts = Accounts::open(&data.accounts_path(), &settings.accounts)?;
        let log = match &settings.packet_log {
            None => None,
            Some(path) => Some(
                PacketLog::create(path, clock.clone())
                    .map_err(|source| ServerError::PacketLog { path: path.clone(), source })?,
            ),
        };
        let metrics = settings.metrics.address.map(bind_metrics).transpose()?;
        let fingerprint = identity.fingerprint();
        let decryptor = Rc::new(Decryptor::new(&classic));
        let characters = CharacterDecryptor::new(classic.private()).map(Rc::new);
        if characters.is_none() {
            tracing::warn!(
                "clients of the original's January 2026 revision cannot be served: the classic keys' moduli are too short for \
                 its characters, or longer than 64 bits"
            );
        }
        let keys = Keys { identity, classic_wire: classic.public().to_wire(), decryptor, characters };
        // The chat does not depend on it.
        let control = ControlSocket::bind(data.path())
            .inspect_err(|error| tracing::warn!(%error, "no control socket: the server cannot be asked for its status"))
            .ok();
        let (manager, reload) = (None, None);
        Ok(Self {
            listener,
            address,
            fingerprint,
            settings,
            clock,
            accounts,
            keys,
            log,
            manager,
            reload,
            control,
            metrics,
            data,
        })
    }

    /// Returns the address that clients connect to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the fingerprint of the identity that clients pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Tells a service manager from now on how the server is.
    pub fn report_to(&mut self, manager: ServiceManager) {
        self.manager = Some(manager);
    }

    /// Reads the settings again from now on whenever it is told to.
    pub fn reload_from(&mut self, reload: Reload) {
        self.reload = Some(reload);
    }

    /// Serves until `shutdown` is ready; then tells the clients, gives them a moment to read, and closes the accounts.
    /// Blocks the calling thread.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the event loop cannot start or the accounts cannot be closed.
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .map_err(ServerError::Runtime)?;
        let result = runtime.block_on(self.serve(shutdown));
        shut_down(runtime);
        result
    }

    async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self {
            data,
            listener,
            address,
            fingerprint,
            settings,
            clock,
            accounts,
            keys,
            log,
            manager,
            reload,
            control,
            metrics,
        } = self;
        let delivery = Delivery::new(Bounds::of(&settings.limits), log);
        let (reporter, reports) = tokio::sync::mpsc::unbounded_channel();
        let hub = Rc::new(Hub::new(settings.limits.clone(), accounts, keys, clock, delivery, reporter));
        let mut reactor = Reactor::new(Rc::clone(&hub), listener, reports).map_err(ServerError::Runtime)?;
        let mut shutdown = pin!(shutdown);
        // Polled once before anybody can know that the server is there: from then on a signal means a clean stop.
        let stopped = poll_fn(|context| Poll::Ready(shutdown.as_mut().poll(context).is_ready())).await;
        if stopped {
            return hub.accounts.clone().close().await.map_err(ServerError::from);
        }
        tracing::info!(%address, identity = %fingerprint, data = %data.path().display(), "listening");
        let manager = manager.map(|manager| start_reporting(manager, &hub));
        let admin = Rc::new(Admin { hub: Rc::clone(&hub), address, fingerprint, started: Instant::now() });
        let served = tokio::select! {
            error = reactor.run() => error,
            () = answer_forever(control, Rc::clone(&admin)) => Ok(()),
            () = count_forever(metrics, admin) => Ok(()),
            () = reload_forever(reload, settings, Rc::clone(&hub), manager.clone()) => Ok(()),
            () = &mut shutdown => Ok(()),
        };
        tracing::info!(connections = hub.connections(), "stopping");
        if let Some(manager) = &manager {
            manager.stopping();
        }
        let farewell = match served {
            Ok(()) => reactor.say_farewell(std::time::Instant::now() + FAREWELL).await,
            Err(error) => Err(error),
        };
        hub.accounts.clone().close().await?;
        drop(data);
        farewell.map_err(ServerError::Runtime)?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Tells a service manager that the server serves, and how it is, until the event loop ends.
fn start_reporting(manager: ServiceManager, hub: &Rc<Hub>) -> Rc<ServiceManager> {
    let (manager, hub) = (Rc::new(manager), Rc::clone(hub));
    manager.ready();
    let reporting = Rc::clone(&manager);
    tokio::task::spawn_local(async move { reporting.report_forever(|| hub.census()).await });
    manager
}

async fn reload_forever(
    reload: Option<Reload>,
    settings: Settings,
    hub: Rc<Hub>,
    manager: Option<Rc<ServiceManager>>,
) {
    match reload {
        Some(reload) => reload.run(settings, hub, manager).await,
        None => std::future::pending().await,
    }
}

/// Listens for those who read metrics, and says where.
fn bind_metrics(address: SocketAddr) -> Result<Endpoint, ServerError> {
    let bound = Endpoint::bind(address).and_then(|endpoint| Ok((endpoint.local_addr()?, endpoint)));
    let (address, endpoint) = bound.map_err(|source| ServerError::Metrics { address, source })?;
    tracing::info!(%address, "metrics");
    Ok(endpoint)
}

async fn count_forever(metrics: Option<Endpoint>, admin: Rc<Admin>) {
    match metrics {
        Some(metrics) => metrics.serve_forever(async move || admin.metrics().await).await,
        None => std::future::pending().await,
    }
}

async fn answer_forever(control: Option<ControlSocket>, admin: Rc<Admin>) {
    match control {
        Some(control) => control.serve_forever(async move |request| admin.answer(request).await).await,
        None => std::future::pending().await,
    }
}

/// Passwords still being hashed for clients that are gone need not be waited for; `Accounts::close` has waited for the rest.
fn shut_down(runtime: LocalRuntime) {
    runtime.shutdown_background();
}

/// A server on a thread of its own.
pub struct Running {
    address: SocketAddr,
    fingerprint: Fingerprint,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), ServerError>>,
}

impl Running {
    /// Returns the address that clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the fingerprint of the server's identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Stops the server and waits until it has.
    ///
    /// # Errors
    ///
    /// As [`Server::run`].
    pub fn stop(self) -> Result<(), ServerError> {
        // Fails only if the server has ended already; its result says why.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| ServerError::Panicked)?
    }
}

/// Starts a server on a thread of its own, for tests and for programs that embed one. Dropping the handle stops the server
/// without waiting for it.
///
/// # Errors
///
/// As [`Server::bind`].
pub fn spawn(settings: Settings, clock: Clock) -> Result<Running, ServerError> {
    let (ready, started) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    // The server is built on its own thread, since it is not `Send`.
    let thread = std::thread::spawn(move || {
        let server = match Server::bind(settings, clock) {
            Ok(server) => server,
            Err(error) => {
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        let _ = ready.send(Ok((server.local_addr(), server.fingerprint())));
        server.run(async {
            let _ = stopped.await;
        })
    });
    let (address, fingerprint) = started.recv().map_err(|_| ServerError::Panicked)??;
    Ok(Running { address, fingerprint, stop, thread })
}
