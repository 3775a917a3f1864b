//! That the calls we make are the calls we say we make.

use std::collections::BTreeSet;

use super::*;
use crate::cloud::CloudErrorKind;

const DRY: &str = "Request would have succeeded, but DryRun flag is set.";

#[test]
fn each_action_is_the_call_it_is_named_for_and_a_dry_run() {
    let script = Script::of([refusal(412, "DryRunOperation", DRY)]);
    let permissions = script.ec2().permissions(&Subjects::default());
    let asked: Vec<Action> = permissions.iter().map(|(action, _)| *action).collect();
    assert_eq!(asked, Action::ALL);
    assert!(permissions.iter().all(|(_, permission)| matches!(permission, Permission::Allowed)));

    let requests = script.requests();
    let called: BTreeSet<&str> = requests.iter().map(|request| request["Action"].as_str()).collect();
    assert_eq!(called, Action::ALL.iter().map(|action| action.name()).collect());
    assert_eq!(requests.len(), Action::ALL.len(), "one call each");
    assert!(requests.iter().all(|request| request["DryRun"] == "true"), "{requests:#?}");
}

#[test]
fn what_is_not_allowed_is_told_from_what_was_not_said() {
    let denied = Script::of([refusal(403, "UnauthorizedOperation", "You are not authorized.")]);
    let unknown = Script::of([refusal(400, "InvalidGroup.NotFound", "There is no such group.")]);
    for (action, permission) in denied.ec2().permissions(&Subjects::default()) {
        // What is asked about a thing that is not there is refused by the tag it does not have.
        let makes = [Action::CreateSecurityGroup, Action::ImportKeyPair].contains(&action);
        let is_said = makes || action.name().starts_with("Describe");
        assert_eq!(matches!(permission, Permission::Denied(_)), is_said, "{action}: {permission:?}");
    }
    let subjects = Subjects {
        instance: Some(InstanceId::new("i-1")),
        owns_instance: true,
        group: Some(GroupId::new("sg-1")),
        owns_group: true,
        rule: Some(RuleId::new("sgr-1")),
        key_name: Some("a key".to_owned()),
        ..Subjects::default()
    };
    for (action, permission) in denied.ec2().permissions(&subjects) {
        assert!(matches!(permission, Permission::Denied(_)), "{action}: {permission:?}");
    }
    // The policy withholds on purpose what would remove things that somebody else made.
    let adopted = Subjects { owns_instance: false, owns_group: false, ..subjects };
    for (action, permission) in denied.ec2().permissions(&adopted) {
        let removes = [Action::RunInstances, Action::TerminateInstances, Action::DeleteSecurityGroup];
        let is_said = !removes.contains(&action);
        assert_eq!(matches!(permission, Permission::Denied(_)), is_said, "{action}: {permission:?}");
    }
    for (_, permission) in unknown.ec2().permissions(&Subjects::default()) {
        assert!(matches!(permission, Permission::Unknown(_)), "{permission:?}");
    }
}

#[test]
fn permissions_are_tried_on_what_there_is() {
    let script = Script::of([refusal(412, "DryRunOperation", DRY)]);
    let group = GroupId::new("sg-00000000000000001");
    let subjects = Subjects { group: Some(group.clone()), ..Subjects::default() };
    script.ec2().permissions(&subjects);
    let requests = script.requests();
    let delete = requests.iter().find(|request| request["Action"] == "DeleteSecurityGroup").unwrap();
    assert_eq!(delete["GroupId"], group.as_str());
}

#[test]
fn a_type_the_account_does_not_get_is_told_by_a_dry_run() {
    let words = "The specified instance type is not eligible for Free Tier.";
    let script = Script::of([refusal(400, "InvalidParameterCombination", words)]);
    let subjects = Subjects { kind: Some(InstanceType::new("t2.micro")), ..Subjects::default() };
    let Some(Permission::Unknown(error)) = script.ec2().permission(Action::RunInstances, &subjects) else {
        panic!("it was refused");
    };
    assert_eq!(error.kind, CloudErrorKind::TypeRefused);
    let [request] = &script.requests()[..] else { panic!("one call") };
    assert_eq!((request["Action"].as_str(), request["DryRun"].as_str()), ("RunInstances", "true"));
    assert_eq!(request["InstanceType"], "t2.micro");
}
