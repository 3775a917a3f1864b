//! What a person can do about a failure on EC2.

use crate::cloud::{CloudError, CloudErrorKind};
use crate::machine::MachineError;
#[cfg(feature = "ssh")]
use crate::machine::apply::ApplyError;

const AGAIN: &str = "run the same command again: it goes on from what is there";

/// Says what to do about a call that failed.
pub(super) fn call_hints(error: &CloudError) -> Vec<String> {
    let hint = match error.kind {
        CloudErrorKind::Unauthorized => {
            return unauthorized_hints(error);
        }
        CloudErrorKind::Credentials => {
            "`aws sts get-caller-identity` shows whether the credentials are good; `aws login` or `aws configure` renews them, --profile takes others"
        }
        CloudErrorKind::Throttled | CloudErrorKind::Unavailable => {
            "wait a minute, and run the same command again"
        }
        CloudErrorKind::Unreachable => {
            "look at the network, and at --region and AWS_ENDPOINT_URL; then run the same command again"
        }
        CloudErrorKind::Limit => {
            "the account has reached a limit; raise it under Service Quotas in the AWS console, or remove what is not needed"
        }
        CloudErrorKind::Capacity | CloudErrorKind::TypeRefused => {
            "name another type with --type, or another region with --region"
        }
        CloudErrorKind::InUse => "something else still uses it; `chat-deploy status` shows what there is",
        _ => AGAIN,
    };
    vec![hint.to_owned()]
}

fn unauthorized_hints(error: &CloudError) -> Vec<String> {
    let action = error.operation;
    let mut hints = vec![format!(
        "the credentials lack ec2:{action}; `chat-deploy policy` prints a policy with all that is needed, `chat-deploy doctor` tries each"
    )];
    let encoded =
        error.message.as_ref().is_some_and(|message| message.contains("Encoded authorization failure"));
    if encoded {
        let decode = "aws sts decode-authorization-message --encoded-message ...";
        hints.push(format!("`{decode}` says which statement refused it"));
    }
    hints
}

/// Says what to do when nothing can be planned.
pub(super) fn machine_hints(error: &MachineError) -> Vec<String> {
    let hint = match error {
        MachineError::Cloud(error) => return call_hints(error),
        MachineError::Several { .. } => {
            "chat-deploy never makes two, so somebody copied the tags: in the EC2 console, terminate those that are not meant, or remove their tag chat-deploy:instance to keep them; then run the same command again"
        }
        MachineError::SeveralToAdopt { .. } => {
            "give the one that is meant a name of its own in the EC2 console, or take another --instance name"
        }
        MachineError::NotAdopted { .. } => {
            "add --adopt to use that machine (with --key FILE for its key), or take another --instance name"
        }
        MachineError::NoAddress { .. } => {
            "give it an Elastic IP address, or deploy over an address you can reach: --provider ssh --host user@address"
        }
        MachineError::KeyKind { .. } => {
            "name another with --key FILE (`ssh-keygen -t ed25519` makes one), or leave --key out"
        }
        MachineError::NoDefaultVpc { .. } => {
            "`aws ec2 create-default-vpc` makes one, or name a subnet with --subnet"
        }
        MachineError::NoSubnet { .. } => "name another with --subnet, or another region with --region",
        MachineError::NoType { .. } => "name others with --type, or another region with --region",
        MachineError::NoImage { .. } => "name another with --image, or another region with --region",
    };
    vec![hint.to_owned()]
}

/// Says what to do when a step failed.
#[cfg(feature = "ssh")]
pub(super) fn apply_hints(error: &ApplyError) -> Vec<String> {
    let hint = match error {
        ApplyError::Cloud { source, .. } | ApplyError::NoneLeft { source, .. } => {
            let mut hints = call_hints(source);
            if !hints.iter().any(|hint| hint.contains("run the same command again")) {
                hints.push(AGAIN.to_owned());
            }
            return hints;
        }
        ApplyError::Astray { .. } => {
            "the EC2 console may say more; run the same command again to make another machine"
        }
        ApplyError::Late { .. } | ApplyError::Invisible { .. } => {
            return vec![
                AGAIN.to_owned(),
                "if that comes to the same, `chat-deploy down` and `up` begin anew".to_owned(),
            ];
        }
        ApplyError::CutOff { step: "launch" } => {
            "the machine may have been asked for already: `chat-deploy up` goes on with it, `chat-deploy down` removes it"
        }
        ApplyError::Taken { .. } => {
            "rename or remove that in the EC2 console, or take another --instance name"
        }
        ApplyError::NotOurs { .. } => "somebody changed its tags; look at it in the EC2 console",
        _ => AGAIN,
    };
    vec![hint.to_owned()]
}
