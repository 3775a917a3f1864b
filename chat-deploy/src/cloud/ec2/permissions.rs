//! Every call as a dry run, to see which of them the credentials allow.

use std::thread;

use super::Ec2;
use crate::cloud::{
    Action, Cloud as _, CloudError, CloudErrorKind, GroupId, ImageId, ImageQuery, InstanceId, InstanceQuery,
    InstanceType, Launch, NewGroup, Permission, Rule, RuleId, Subjects, SubnetId, Tags, UserData, VpcId,
};
use crate::machine::tags;

/// Asks about all calls at once. `dry` must be set to do nothing.
pub(super) fn ask(dry: &Ec2, subjects: &Subjects) -> Vec<(Action, Permission)> {
    let trial = Trial::on(subjects);
    thread::scope(|scope| {
        let ask = |action: Action| {
            let trial = &trial;
            (action, scope.spawn(move || trial.verdict(dry, action)))
        };
        let asked: Vec<_> = Action::ALL.iter().map(|action| ask(*action)).collect();
        // Nothing in there panics; a thread that did is an answer less.
        asked.into_iter().filter_map(|(action, answer)| Some((action, answer.join().ok()?))).collect()
    })
}

/// Asks about one call. `dry` must be set to do nothing.
pub(super) fn ask_one(dry: &Ec2, action: Action, subjects: &Subjects) -> Permission {
    Trial::on(subjects).verdict(dry, action)
}

/// What each call is tried on.
struct Trial {
    subjects: Subjects,
    instance: InstanceId,
    group: GroupId,
    rule: RuleId,
    vpc: VpcId,
    tags: Tags,
    launch: Launch,
}

/// An id that EC2 takes for one, of a thing that is not there.
const NOTHING: &str = "0123456789abcdef0";
/// A name for what will not be made.
const NAME: &str = "chat-deploy-doctor";

impl Trial {
    fn on(subjects: &Subjects) -> Self {
        let nothing = |kind: &str| format!("{kind}-{NOTHING}");
        let group = subjects.group.clone().unwrap_or_else(|| GroupId::new(nothing("sg")));
        let tags = Tags::from([(tags::MANAGED.to_owned(), tags::OURS.to_owned())]);
        let launch = Launch {
            client_token: NAME.to_owned(),
            image: subjects.image.clone().unwrap_or_else(|| ImageId::new(nothing("ami"))),
            kind: subjects.kind.clone().unwrap_or_else(|| InstanceType::new("t3.micro")),
            standard_credits: false,
            key_name: subjects.key_name.clone().unwrap_or_else(|| NAME.to_owned()),
            group: group.clone(),
            subnet: subjects.subnet.clone().unwrap_or_else(|| SubnetId::new(nothing("subnet"))),
            root_device: "/dev/xvda".to_owned(),
            root_gib: 8,
            user_data: UserData::default(),
            tags: tags.clone(),
        };
        Self {
            subjects: subjects.clone(),
            instance: subjects.instance.clone().unwrap_or_else(|| InstanceId::new(nothing("i"))),
            group,
            rule: subjects.rule.clone().unwrap_or_else(|| RuleId::new(nothing("sgr"))),
            vpc: subjects.vpc.clone().unwrap_or_else(|| VpcId::new(nothing("vpc"))),
            tags,
            launch,
        }
    }

    fn verdict(&self, ec2: &Ec2, action: Action) -> Permission {
        match self.call(ec2, action) {
            Ok(()) => Permission::Allowed,
            Err(error) => match error.kind {
                CloudErrorKind::DryRun => Permission::Allowed,
                CloudErrorKind::Unauthorized if !self.is_on_nothing_of_ours(action) => {
                    Permission::Denied(error)
                }
                _ => Permission::Unknown(error),
            },
        }
    }

    /// Tells whether a call goes to a thing that is not there, or not ours to remove. A policy that asks for our tag on it, as
    /// ours does, refuses that, and may well allow the same call on what we make.
    fn is_on_nothing_of_ours(&self, action: Action) -> bool {
        let Subjects { instance, owns_instance, group, owns_group, rule, key_name, .. } = &self.subjects;
        match action {
            Action::RunInstances => !owns_group || group.is_none() || key_name.is_none(),
            Action::TerminateInstances => !owns_instance || instance.is_none(),
            Action::DeleteSecurityGroup => !owns_group || group.is_none(),
            Action::GetConsoleOutput
            | Action::StartInstances
            | Action::StopInstances
            | Action::CreateTags
            | Action::DeleteTags => instance.is_none(),
            Action::AuthorizeSecurityGroupIngress => group.is_none(),
            Action::RevokeSecurityGroupIngress => group.is_none() || rule.is_none(),
            Action::DeleteKeyPair => key_name.is_none(),
            _ => false,
        }
    }

    fn call(&self, ec2: &Ec2, action: Action) -> Result<(), CloudError> {
        let launch = &self.launch;
        match action {
            Action::DescribeInstances => ec2.instances(&InstanceQuery::Tagged(self.tags.clone())).map(drop),
            Action::DescribeSecurityGroups => ec2.groups_tagged(&self.tags).map(drop),
            Action::DescribeSecurityGroupRules => ec2.rules(&self.group).map(drop),
            Action::DescribeKeyPairs => ec2.key_pairs_tagged(&self.tags).map(drop),
            Action::DescribeImages => ec2.images(&ImageQuery::Id(launch.image.clone())).map(drop),
            Action::DescribeVpcs => ec2.default_vpc().map(drop),
            Action::DescribeSubnets => ec2.subnets(Some(&self.vpc), None).map(drop),
            Action::DescribeRouteTables => ec2.routes(&self.vpc).map(drop),
            Action::DescribeInstanceTypeOfferings => {
                ec2.offerings(std::slice::from_ref(&launch.kind)).map(drop)
            }
            Action::DescribeInstanceTypes => ec2.type_facts(std::slice::from_ref(&launch.kind)).map(drop),
            Action::GetConsoleOutput => ec2.console_output(&self.instance).map(drop),
            Action::CreateSecurityGroup => ec2.create_group(&self.new_group()).map(drop),
            Action::AuthorizeSecurityGroupIngress => ec2.authorize(&self.group, &some_rule(), &self.tags),
            Action::RevokeSecurityGroupIngress => ec2.revoke(&self.group, &self.rule),
            Action::DeleteSecurityGroup => ec2.delete_group(&self.group),
            Action::ImportKeyPair => ec2.import_key_pair(NAME, SOME_KEY, &self.tags).map(drop),
            Action::DeleteKeyPair => ec2.delete_key_pair(&launch.key_name),
            Action::RunInstances => ec2.run_instance(launch).map(drop),
            Action::StartInstances => ec2.start_instance(&self.instance),
            Action::StopInstances => ec2.stop_instance(&self.instance),
            Action::TerminateInstances => ec2.terminate_instance(&self.instance),
            Action::CreateTags => ec2.tag(self.instance.as_str(), &some_note()),
            Action::DeleteTags => ec2.untag(self.instance.as_str(), &[tags::HOST_KEY]),
        }
    }

    fn new_group(&self) -> NewGroup {
        NewGroup {
            name: NAME.to_owned(),
            description: "never made".to_owned(),
            vpc: self.vpc.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// A tag as we keep it on machines, adopted ones too.
fn some_note() -> Tags {
    Tags::from([(tags::HOST_KEY.to_owned(), "SHA256:".to_owned())])
}

/// One that opens nothing but a range for examples (RFC 5737).
fn some_rule() -> Rule {
    Rule {
        protocol: "tcp".to_owned(),
        from_port: Some(22),
        to_port: Some(22),
        source: "192.0.2.0/32".to_owned(),
    }
}

/// A key to which nobody has the private half: all zero.
const SOME_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA doctor";
