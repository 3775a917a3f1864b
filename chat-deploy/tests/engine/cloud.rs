//! EC2 in memory, as strict as the real one: what was made shows late, tokens are remembered, states take their time. It
//! fails, or lets the deployer be killed, at a chosen call; and another deployer can do its work between two calls.
//!
//! What machines, groups and key pairs do is in `cloud/account.rs`.

mod account;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_deploy::clock::Clock;
use chat_deploy::cloud::{
    Cloud, CloudError, CloudErrorKind, FailedCall, GroupId, GroupRule, Image, ImageQuery, Instance,
    InstanceId, InstanceQuery, InstanceType, KeyPair, KeyPairId, Launch, NewGroup, Offering, RouteToInternet,
    Rule, RuleId, SecurityGroup, Subnet, SubnetId, Tags, TypeFacts, VpcId,
};
use chat_deploy::interrupt::Interrupt;
use chat_deploy::machine::HostKeyPins;
use chat_deploy::report::{Event, Report};

use crate::fake::Killed;

pub(crate) use account::{Account, rule};

/// How something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call is refused for good.
    Refused,
    /// The call is not carried out, but may be later.
    Throttled,
    /// The call is carried out, and the answer is lost.
    AnswerLost,
    /// The deployer is killed before the call.
    KilledBefore,
    /// The deployer is killed after the call.
    KilledAfter,
}

/// All faults there are.
pub(crate) const FAULTS: [Fault; 5] =
    [Fault::Refused, Fault::Throttled, Fault::AnswerLost, Fault::KilledBefore, Fault::KilledAfter];

/// The faults that the run they happen to survives.
pub(crate) const PASSING: [Fault; 2] = [Fault::Throttled, Fault::AnswerLost];

/// What another deployer does meanwhile.
type Deed = Box<dyn FnOnce(&FakeCloud) + Send>;

/// What is to happen, and after how many more calls.
#[derive(Default)]
struct Script {
    fault: Option<(usize, Fault)>,
    /// The call, by its name, that fails.
    fault_at: Option<(&'static str, Fault)>,
    deed: Option<(usize, Deed)>,
    /// Whether the deployer was killed: then none of its threads does anything more.
    is_dead: bool,
}

/// The account, the time, and the host keys pinned on the deployer's machine.
pub(crate) struct FakeCloud {
    account: Mutex<Account>,
    script: Mutex<Script>,
    nanos: AtomicU64,
    pins: Mutex<BTreeMap<String, Vec<String>>>,
    pub(crate) interrupt: Interrupt,
}

impl FakeCloud {
    /// Makes an account in which somebody else has things too. What is made does not show in the first `stale` looks.
    pub(crate) fn new(stale: u32) -> Self {
        Self {
            account: Mutex::new(Account::new(stale)),
            script: Mutex::default(),
            nanos: AtomicU64::new(1_000_000_000_000),
            pins: Mutex::default(),
            interrupt: Interrupt::default(),
        }
    }

    /// Returns the account as it is now.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.advance(self.now());
        account
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a fault come after so many more calls.
    pub(crate) fn fail_after(&self, calls: usize, fault: Fault) {
        self.script().fault = Some((calls, fault));
    }

    /// Lets a fault come at the next call of a name.
    pub(crate) fn fail_at(&self, operation: &'static str, fault: Fault) {
        self.script().fault_at = Some((operation, fault));
    }

    /// Lets another deployer do something before the call after so many more.
    pub(crate) fn meanwhile(&self, calls: usize, deed: impl FnOnce(&Self) + Send + 'static) {
        self.script().deed = Some((calls, Box::new(deed)));
    }

    /// Lets so much time pass that every machine is what it was to become.
    pub(crate) fn wait(&self) {
        self.sleep(Duration::from_secs(60));
    }

    /// Begins anew after a run; tells whether what was to happen in it did.
    pub(crate) fn end_run(&self) -> bool {
        let script = std::mem::take(&mut *self.script());
        script.fault.is_none() && script.deed.is_none()
    }

    /// Tells whether the deployer was killed.
    pub(crate) fn was_killed(&self) -> bool {
        self.script().is_dead
    }

    pub(crate) fn pins(&self) -> BTreeMap<String, Vec<String>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn die(&self) -> ! {
        self.script().is_dead = true;
        std::panic::panic_any(Killed)
    }

    fn call<T>(
        &self,
        operation: &'static str,
        make: impl FnOnce(&mut Account) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        let (fault, deed) = {
            let mut script = self.script();
            let named = script.fault_at.take_if(|(name, _)| *name == operation).map(|(_, fault)| fault);
            (due(&mut script.fault).or(named), due(&mut script.deed))
        };
        if self.was_killed() {
            self.die();
        }
        if let Some(deed) = deed {
            deed(self);
        }
        match fault {
            Some(Fault::KilledBefore) => self.die(),
            Some(Fault::Refused) => return account::refusal("NotToday"),
            Some(Fault::Throttled) => {
                return account::refusal("RequestLimitExceeded");
            }
            _ => {}
        }
        let result = make(&mut self.account());
        match fault {
            Some(Fault::KilledAfter) => self.die(),
            Some(Fault::AnswerLost) => Err(CloudError::from(FailedCall {
                operation,
                resource: None,
                kind: CloudErrorKind::Unreachable,
                code: None,
                message: None,
                request_id: None,
                source: None,
            })),
            _ => result,
        }
    }
}

/// Takes what is due, and counts down to what is not.
fn due<T>(planned: &mut Option<(usize, T)>) -> Option<T> {
    match planned.take() {
        Some((0, what)) => Some(what),
        Some((calls, what)) => {
            *planned = Some((calls - 1, what));
            None
        }
        None => None,
    }
}

impl Cloud for FakeCloud {
    fn region(&self) -> &str {
        "xx-fake-1"
    }

    fn instances(&self, query: &InstanceQuery) -> Result<Vec<Instance>, CloudError> {
        self.call("DescribeInstances", |account| account.instances(query))
    }

    fn groups_tagged(&self, tags: &Tags) -> Result<Vec<SecurityGroup>, CloudError> {
        self.call("DescribeSecurityGroups", |account| Ok(account.groups(|group| has(&group.tags, tags))))
    }

    fn groups(&self, ids: &[GroupId]) -> Result<Vec<SecurityGroup>, CloudError> {
        self.call("DescribeSecurityGroups", |account| {
            let found = account.groups(|group| ids.contains(&group.id));
            let is_all = found.len() == ids.len();
            if is_all { Ok(found) } else { account::no_group() }
        })
    }

    fn groups_named(&self, name: &str, vpc: &VpcId) -> Result<Vec<SecurityGroup>, CloudError> {
        self.call("DescribeSecurityGroups", |account| {
            Ok(account.groups(|group| group.name == name && group.vpc.as_ref() == Some(vpc)))
        })
    }

    fn rules(&self, group: &GroupId) -> Result<Vec<GroupRule>, CloudError> {
        self.call("DescribeSecurityGroupRules", |account| account.rules(group))
    }

    fn key_pairs_tagged(&self, tags: &Tags) -> Result<Vec<KeyPair>, CloudError> {
        self.call("DescribeKeyPairs", |account| Ok(account.keys(|key| has(&key.tags, tags))))
    }

    fn images(&self, _: &ImageQuery) -> Result<Vec<Image>, CloudError> {
        self.call("DescribeImages", |_| Ok(account::images()))
    }

    fn default_vpc(&self) -> Result<Option<VpcId>, CloudError> {
        self.call("DescribeVpcs", |_| Ok(Some(account::vpc())))
    }

    fn subnets(&self, _: Option<&VpcId>, _: Option<&SubnetId>) -> Result<Vec<Subnet>, CloudError> {
        self.call("DescribeSubnets", |_| Ok(account::subnets()))
    }

    fn routes(&self, _: &VpcId) -> Result<RouteToInternet, CloudError> {
        self.call("DescribeRouteTables", |_| Ok(RouteToInternet { main: true, ..RouteToInternet::default() }))
    }

    fn offerings(&self, types: &[InstanceType]) -> Result<Vec<Offering>, CloudError> {
        self.call("DescribeInstanceTypeOfferings", |_| Ok(account::offerings(types)))
    }

    fn type_facts(&self, types: &[InstanceType]) -> Result<Vec<TypeFacts>, CloudError> {
        self.call("DescribeInstanceTypes", |_| Ok(account::type_facts(types)))
    }

    fn console_output(&self, _: &InstanceId) -> Result<String, CloudError> {
        self.call("GetConsoleOutput", |_| Ok(String::new()))
    }

    fn create_group(&self, group: &NewGroup) -> Result<GroupId, CloudError> {
        self.call("CreateSecurityGroup", |account| account.create_group(group))
    }

    fn authorize(&self, group: &GroupId, rule: &Rule, tags: &Tags) -> Result<(), CloudError> {
        self.call("AuthorizeSecurityGroupIngress", |account| account.authorize(group, rule, tags))
    }

    fn revoke(&self, group: &GroupId, rule: &RuleId) -> Result<(), CloudError> {
        self.call("RevokeSecurityGroupIngress", |account| account.revoke(group, rule))
    }

    fn delete_group(&self, group: &GroupId) -> Result<(), CloudError> {
        self.call("DeleteSecurityGroup", |account| account.delete_group(group))
    }

    fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<KeyPairId, CloudError> {
        self.call("ImportKeyPair", |account| account.import_key(name, public_key, tags))
    }

    fn delete_key_pair(&self, name: &str) -> Result<(), CloudError> {
        self.call("DeleteKeyPair", |account| {
            account.delete_key(name);
            Ok(())
        })
    }

    fn run_instance(&self, launch: &Launch) -> Result<Instance, CloudError> {
        let pinned = self.pins().remove(&launch.client_token).unwrap_or_default();
        let is_pinned = pinned.iter().any(|key| launch.user_data.as_str().contains(key));
        assert!(is_pinned, "the machine could not be recognised, were the deployer killed now");
        self.call("RunInstances", |account| account.run(launch))
    }

    fn start_instance(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.call("StartInstances", |account| account.start(id))
    }

    fn stop_instance(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.call("StopInstances", |account| account.stop(id))
    }

    fn terminate_instance(&self, id: &InstanceId) -> Result<(), CloudError> {
        self.call("TerminateInstances", |account| account.terminate(id))
    }

    fn tag(&self, resource: &str, tags: &Tags) -> Result<(), CloudError> {
        self.call("CreateTags", |account| account.retag(resource, |there| there.extend(tags.clone())))
    }

    fn untag(&self, resource: &str, keys: &[&str]) -> Result<(), CloudError> {
        self.call("DeleteTags", |account| {
            account.retag(resource, |there| there.retain(|key, _| !keys.contains(&key.as_str())))
        })
    }
}

/// Tells whether all of `wanted` are among the tags.
pub(crate) fn has(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

impl HostKeyPins for FakeCloud {
    fn pin(&self, name: &str, public_key: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.entry(name.to_owned()).or_default().push(public_key.to_owned());
        Ok(())
    }

    fn unpin(&self, name: &str, public_key: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = pins.get_mut(name) {
            keys.retain(|key| key != public_key);
            if keys.is_empty() {
                pins.remove(name);
            }
        }
        Ok(())
    }

    fn forget(&self, name: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}

impl Clock for FakeCloud {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn unix_seconds(&self) -> u64 {
        self.now().as_secs()
    }

    fn sleep(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap();
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Report for FakeCloud {
    fn event(&self, _: &Event<'_>) {}
}
