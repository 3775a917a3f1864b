//! What a test has: an account with nothing in it, a laptop, and programs to use both with.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::pretend::{PretendCloud, cloud};
use crate::programs::{Home, PipedClient, Said, finish, program};
use crate::tmux::Screen;

/// The name of the instance that is deployed.
pub(crate) const INSTANCE: &str = "myserver";
/// The port it listens on, since nobody says otherwise.
const PORT: u16 = 12345;

/// An account, seen from a laptop. The machines in it go when it is dropped.
pub(crate) struct Account {
    cloud: &'static PretendCloud,
    region: &'static str,
    /// The laptop.
    pub(crate) home: Home,
}

impl Account {
    /// Opens an account.
    pub(crate) fn new() -> Self {
        let cloud = cloud();
        Self { cloud, region: cloud.take_region(), home: Home::new() }
    }

    /// Prepares a `chat-deploy` on another laptop with access to the same account.
    pub(crate) fn command_at(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = home.command(program("chat-deploy"));
        command
            .args(arguments)
            .env("CHAT_DEPLOY_INSTANCE", INSTANCE)
            .env("CHAT_DEPLOY_SSH_FROM", "127.0.0.0/8")
            .env("AWS_ENDPOINT_URL", self.cloud.endpoint())
            .env("AWS_REGION", self.region)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs `chat-deploy` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        finish(&mut self.command_at(&self.home, arguments), "")
    }

    /// Starts `chat-deploy`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command_at(&self.home, arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Opens a terminal in which `chat-deploy` runs; the last line there says how it ended.
    pub(crate) fn run_in_terminal(&self, arguments: &[&str]) -> Screen {
        let command = self.command_at(&self.home, arguments);
        let quoted = |text: &OsStr| format!("'{}'", text.to_str().unwrap());
        let (set, unset): (Vec<_>, Vec<_>) = command.get_envs().partition(|(_, value)| value.is_some());
        let unset = unset.iter().map(|(name, _)| format!("-u {}", quoted(name)));
        let set = set.iter().filter_map(|(name, value)| Some((name, quoted((*value)?))));
        let set = set.map(|(name, value)| format!("{}={value}", name.to_str().unwrap()));
        let words = [command.get_program()].into_iter().chain(command.get_args()).map(quoted);
        let line: Vec<_> = unset.chain(set).chain(words).collect();
        Screen::start(&self.home, &format!("env {}; echo ended with $?; cat", line.join(" ")))
    }

    /// Deploys a server, which must succeed.
    pub(crate) fn up(&self, server: &Path) -> Said {
        self.run(&up(server)).ended_with(0)
    }

    /// Returns what `status --json` says.
    pub(crate) fn status(&self) -> Value {
        let said = self.run(&["status", "--json"]).ended_with(0);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// Makes a call of the API that is neither counted nor broken, as from the console.
    pub(crate) fn aws(&self, operation: &str, arguments: &Value) -> Value {
        let request = json!({"region": self.region, "operation": operation, "arguments": arguments});
        self.cloud.ask("aws", &request)
    }

    /// Returns the instances that there are, but for terminated ones.
    pub(crate) fn instances(&self) -> Vec<Value> {
        let answer = self.aws("describe_instances", &json!({}));
        let reservations = answer["Reservations"].as_array().unwrap();
        let instances =
            reservations.iter().flat_map(|reservation| reservation["Instances"].as_array().unwrap());
        instances.filter(|instance| instance["State"]["Name"] != "terminated").cloned().collect()
    }

    /// Returns the one instance that there is.
    pub(crate) fn instance(&self) -> Value {
        let instances = self.instances();
        assert_eq!(instances.len(), 1, "{instances:#?}");
        instances[0].clone()
    }

    /// Returns the address of the one instance that there is.
    pub(crate) fn address(&self) -> String {
        let instance = self.instance();
        instance["PublicIpAddress"].as_str().unwrap_or_else(|| panic!("{instance:#?}")).to_owned()
    }

    /// Returns the security groups that there are, but for the one that is there from the beginning.
    pub(crate) fn groups(&self) -> Vec<Value> {
        let answer = self.aws("describe_security_groups", &json!({}));
        let groups = answer["SecurityGroups"].as_array().unwrap();
        groups.iter().filter(|group| group["GroupName"] != "default").cloned().collect()
    }

    /// Returns the key pairs that there are.
    pub(crate) fn key_pairs(&self) -> Vec<Value> {
        self.aws("describe_key_pairs", &json!({}))["KeyPairs"].as_array().unwrap().clone()
    }

    /// Asserts that the account is as empty as at first.
    pub(crate) fn is_empty(&self) {
        assert_eq!(self.instances(), [] as [Value; 0]);
        assert_eq!(self.groups(), [] as [Value; 0]);
        assert_eq!(self.key_pairs(), [] as [Value; 0]);
    }

    /// Returns the calls of the API that `act` makes, by their actions.
    pub(crate) fn calls_of(&self, act: impl FnOnce()) -> Vec<String> {
        let before = self.calls().len();
        act();
        self.calls().split_off(before)
    }

    /// Returns all calls of the API so far, by their actions.
    pub(crate) fn calls(&self) -> Vec<String> {
        serde_json::from_value(self.cloud.ask("calls", &json!({"region": self.region}))).unwrap()
    }

    /// Breaks calls by rules that `tests/cloud/faults.py` explains, instead of those before.
    pub(crate) fn break_calls(&self, rules: &Value) {
        self.cloud.ask("faults", &json!({"region": self.region, "rules": rules}));
    }

    /// Runs a shell command as root in the one machine that there is, and returns what it wrote if the machine is on and
    /// does not shut down, and the command succeeded.
    pub(crate) fn try_in_machine(&self, script: &str) -> Result<String, String> {
        let request = self.machine(&json!({"command": ["sh", "-c", script]}));
        let answer = self.cloud.try_ask("run", &request).map_err(|error| error.to_string())?;
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        if answer["code"] == 0 { Ok(text("out")) } else { Err(text("err")) }
    }

    /// As [`Self::try_in_machine`], and it must succeed.
    pub(crate) fn in_machine(&self, script: &str) -> String {
        self.try_in_machine(script).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Returns how often the one machine that there is has booted.
    pub(crate) fn boots(&self) -> u64 {
        self.cloud.ask("boots", &self.machine(&json!({}))).as_u64().unwrap()
    }

    /// Cuts the power of the one machine that there is, and gives it back.
    pub(crate) fn cut_power(&self) {
        self.cloud.ask("cut_power", &self.machine(&json!({})));
    }

    /// Shows what may tell why a test failed: what the machine says, and its console for one that lets nobody in.
    fn show_machine(&self, name: &str) {
        const LINES: usize = 20;
        let look = "cat /proc/1/comm; systemctl list-jobs; ls -l /opt/chat /opt/chat/releases;
                    journalctl --no-pager --lines 60 --unit 'chat*'";
        let look = json!({"region": self.region, "name": name, "command": ["sh", "-c", look]});
        match self.cloud.try_ask("run", &look) {
            Ok(answer) => eprintln!("in {name}:\n{}", answer["out"].as_str().unwrap_or_default()),
            Err(error) => eprintln!("{name} cannot be looked into: {error}"),
        }
        let console = self.cloud.try_ask("console", &json!({"region": self.region, "name": name}));
        let console = console.unwrap_or_default();
        let lines: Vec<_> = console.as_str().unwrap_or_default().lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        eprintln!("on the console of {name}:\n{}", last.join("\n"));
    }

    fn machine(&self, request: &Value) -> Value {
        let mut request = request.clone();
        request["region"] = self.region.into();
        request["name"] = self.instance()["InstanceId"].clone();
        request
    }

    /// Connects a person to the server; it must prove the identity that the deployment pinned.
    pub(crate) fn chatter(&self) -> PipedClient {
        PipedClient::connect(&self.home, &self.address(), PORT, &[])
    }

    /// Asserts that people can chat.
    pub(crate) fn can_chat(&self) {
        let mut chatter = self.chatter();
        chatter.type_line("/join");
        chatter.type_line("hello");
        chatter.await_line_like(": hello");
    }

    /// Asserts that people can chat before long, trying again and again: a server may be on its way back.
    pub(crate) fn can_chat_soon(&self) {
        const TRIES: u32 = 60;
        for _ in 0..TRIES {
            let connect = ["connect", &self.address(), &PORT.to_string()];
            let said = self.home.run_with_input("chat-client", &connect, "/join\nhello\n");
            if said.code == Some(0) && said.out.contains(": hello") {
                return;
            }
            thread::sleep(Duration::from_millis(250));
        }
        panic!("nobody can chat");
    }
}

/// Returns the words of an `up` that asks nothing.
pub(crate) fn up(server: &Path) -> [&str; 4] {
    ["up", "--yes", "--binary", server.to_str().unwrap()]
}

impl Drop for Account {
    /// Shows what the machine says if the test failed, and terminates it. Must not panic, which would hide the report.
    fn drop(&mut self) {
        let _ = self.cloud.try_ask("faults", &json!({"region": self.region, "rules": []}));
        let Ok(left) = self.cloud.try_ask("machines", &json!({"region": self.region})) else { return };
        for name in left.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if thread::panicking() {
                self.show_machine(name);
            }
            let terminate = json!({"InstanceIds": [name]});
            let _ = self.cloud.try_ask(
                "aws",
                &json!({"region": self.region, "operation": "terminate_instances", "arguments": terminate}),
            );
        }
    }
}
