//! What we ask of an account: every call we make, and the least policy that allows them.
//!
//! The adapter cannot make a call without naming its [`Action`], and a test holds the calls it then makes equal to the
//! policy's.

use std::fmt;

use super::{CloudError, GroupId, ImageId, InstanceId, InstanceType, RuleId, SubnetId, VpcId};

macro_rules! actions {
    ($($name:ident: $purpose:literal,)*) => {
        /// A call to EC2. IAM's name of it is the same, with `ec2:` before it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(
                #[doc = concat!("Used to ", $purpose, ".")]
                $name,
            )*
        }

        impl Action {
            /// All of them, those that only look first.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns EC2's name: `RunInstances`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

actions! {
    DescribeInstances: "find the machine and see what it does",
    DescribeSecurityGroups: "find its security group",
    DescribeSecurityGroupRules: "see which ports are open, and who opened them",
    DescribeKeyPairs: "find its key pair",
    DescribeImages: "find the newest Amazon Linux",
    DescribeVpcs: "find the default network",
    DescribeSubnets: "choose where in the network to put the machine",
    DescribeRouteTables: "see whether a subnet leads to the internet",
    DescribeInstanceTypeOfferings: "see which zones offer the machine's type",
    DescribeInstanceTypes: "see which architecture a type has, and whether it runs on credits",
    GetConsoleOutput: "see why a machine does not come up",
    CreateSecurityGroup: "make the security group",
    AuthorizeSecurityGroupIngress: "open the ports of the chat and of SSH",
    RevokeSecurityGroupIngress: "close ports that it opened",
    DeleteSecurityGroup: "remove the security group",
    ImportKeyPair: "let EC2 put our public key on the machine",
    DeleteKeyPair: "remove the key pair",
    RunInstances: "make the machine",
    StartInstances: "start it",
    StopInstances: "stop it",
    TerminateInstances: "remove it",
    CreateTags: "mark what it makes as its own",
    DeleteTags: "remove its marks from a machine that stays",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What there is to try a permission on without doing anything: EC2 answers for a thing, and a policy may tell between
/// things. What is missing is tried on one that does not exist, about which EC2 may not say what it would allow.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    /// The machine of an instance.
    pub instance: Option<InstanceId>,
    /// Whether we made it: one that was adopted is never terminated, so nobody needs to allow that.
    pub owns_instance: bool,
    /// Its security group.
    pub group: Option<GroupId>,
    /// Whether we made that: another is neither deleted, nor are machines put into it.
    pub owns_group: bool,
    /// A rule in it that we opened.
    pub rule: Option<RuleId>,
    /// The name of its key pair.
    pub key_name: Option<String>,
    /// The image a machine would be made from.
    pub image: Option<ImageId>,
    /// The type it would be.
    pub kind: Option<InstanceType>,
    /// The network of a new group.
    pub vpc: Option<VpcId>,
    /// Where a machine would be.
    pub subnet: Option<SubnetId>,
}

/// Whether a call is allowed.
#[derive(Debug)]
pub enum Permission {
    /// It is.
    Allowed,
    /// It is not, in EC2's words.
    Denied(CloudError),
    /// EC2 did not say, but this.
    Unknown(CloudError),
}

/// Returns the least IAM policy that lets us work, as JSON text to be pasted into the console.
///
/// Its statements say by their `Sid` what they are for. `AdoptMachinesMadeByHand` and `OpenPortsOfGroupsMadeByHand` may be
/// left out where nothing is to be adopted.
///
/// # Source
///
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>
#[must_use]
pub fn policy() -> &'static str {
    include_str!("../../../templates/iam-policy.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::machine::tags;

    /// IAM's limit for a policy of its own, not counting white space.
    const MAX_POLICY_CHARS: usize = 6144;

    fn statements() -> Vec<Value> {
        let policy: Value = serde_json::from_str(policy()).unwrap();
        policy["Statement"].as_array().unwrap().clone()
    }

    fn strings(value: &Value) -> Vec<&str> {
        match value {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().map(|one| one.as_str().unwrap()).collect(),
            other => panic!("{other} is neither a text nor a list of them"),
        }
    }

    fn actions(statement: &Value) -> Vec<&str> {
        strings(&statement["Action"]).into_iter().map(|action| action.strip_prefix("ec2:").unwrap()).collect()
    }

    #[test]
    fn the_policy_allows_every_action_and_no_other() {
        let statements = statements();
        let allowed: BTreeSet<_> = statements.iter().flat_map(actions).collect();
        assert_eq!(allowed, Action::ALL.iter().map(|action| action.name()).collect());
        assert!(statements.iter().all(|statement| statement["Effect"] == "Allow"));
        assert!(policy().chars().filter(|c| !c.is_whitespace()).count() <= MAX_POLICY_CHARS);
    }

    #[test]
    fn whatever_changes_something_is_narrowed_to_what_is_ours() {
        // What a machine or a group is made from is not ours: the image, the subnet, the network.
        let sources = ["image", "subnet", "vpc"];
        for statement in statements() {
            let only_looks = |name: &str| name.starts_with("Describe") || name == "GetConsoleOutput";
            let is_source =
                |resource: &str| sources.iter().any(|kind| resource.contains(&format!(":{kind}/")));
            let narrowed = statement.get("Condition").is_some()
                || actions(&statement).into_iter().all(only_looks)
                || strings(&statement["Resource"]).into_iter().all(is_source);
            assert!(narrowed, "{statement:#}");
        }
    }

    #[test]
    fn what_deletes_asks_for_our_tag() {
        let is_ours = format!("aws:ResourceTag/{}", tags::MANAGED);
        for statement in statements() {
            let deletes = |name: &str| name == "TerminateInstances" || name.starts_with("Delete");
            if actions(&statement).into_iter().any(|name| deletes(name) && name != "DeleteTags") {
                assert_eq!(statement["Condition"]["StringEquals"][&is_ours], tags::OURS, "{statement:#}");
            }
        }
    }

    #[test]
    fn only_tags_of_ours_are_written_on_what_is_there() {
        for statement in statements() {
            let tags = |name: &str| ["CreateTags", "DeleteTags"].contains(&name);
            let condition = &statement["Condition"];
            // What is just being made gets a name too.
            let while_making = condition["StringEquals"].get("ec2:CreateAction").is_some();
            if actions(&statement).into_iter().any(tags) && !while_making {
                let keys = &condition["ForAllValues:StringLike"]["aws:TagKeys"];
                assert_eq!(keys, "chat-deploy:*", "{statement:#}");
            }
        }
        let ours = [tags::MANAGED, tags::INSTANCE, tags::GENERATION, tags::BOOTSTRAP_KEY, tags::HOST_KEY];
        assert!(ours.iter().all(|key| key.starts_with("chat-deploy:")));
    }
}
