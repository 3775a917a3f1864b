//! What EC2 and the way to it may answer instead, what is tried again, and what a person reads.

use std::thread;

use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_sdk_ec2::config::ProvideCredentials;
use chat_client::link::error_chain;

use super::*;
use crate::cloud::CloudErrorKind;

fn machine() -> Reply {
    answer(Action::RunInstances, &format!("<instancesSet>{}</instancesSet>", instance_xml("i-1", "")))
}

fn vpc() -> Reply {
    answer(Action::DescribeVpcs, "<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>")
}

#[test]
fn codes_come_down_to_kinds() {
    let check = |code: &str, kind: CloudErrorKind| {
        let script = Script::of([refusal(400, code, "Because.")]);
        let error = script.ec2().run_instance(&launch_for_tests()).unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)));
        assert_eq!(script.requests().len(), 1, "{code} is final");
    };
    check("UnauthorizedOperation", CloudErrorKind::Unauthorized);
    check("IdempotentParameterMismatch", CloudErrorKind::ParameterMismatch);
    check("IdempotentInstanceTerminated", CloudErrorKind::TokenSpent);
    check("InsufficientInstanceCapacity", CloudErrorKind::Capacity);
    check("Unsupported", CloudErrorKind::TypeRefused);
    check("InvalidKeyPair.NotFound", CloudErrorKind::NotFound);
    check("InvalidGroup.Duplicate", CloudErrorKind::Duplicate);
    check("InvalidPermission.Duplicate", CloudErrorKind::Duplicate);
    check("DependencyViolation", CloudErrorKind::InUse);
    check("IncorrectInstanceState", CloudErrorKind::WrongState);
    check("VcpuLimitExceeded", CloudErrorKind::Limit);
    check("AuthFailure", CloudErrorKind::Credentials);
    check("InvalidParameterValue", CloudErrorKind::Other);
}

#[test]
fn what_is_transient_is_tried_again_and_is_the_same_request() {
    let check = |first: Reply| {
        let script = Script::of([first.clone(), machine()]);
        script.ec2().run_instance(&launch_for_tests()).unwrap();
        let requests = script.requests();
        assert_eq!(requests.len(), 2, "{first:?}");
        assert_eq!(requests[0], requests[1], "with the same token above all");
        assert_eq!(requests[0]["ClientToken"], "7f8e3c");
    };
    check(Reply::Lost);
    check(refusal(503, "RequestLimitExceeded", "Request limit exceeded."));
    check(refusal(500, "InternalError", "An internal error has occurred."));
    check(refusal(503, "Unavailable", "The server is overloaded."));
    check(Reply::Answer(502, "<html>Bad Gateway</html>".to_owned()));
}

#[test]
fn a_full_zone_is_not_tried_again_although_it_comes_as_trouble_of_ec2() {
    let script = Script::of([refusal(500, "InsufficientInstanceCapacity", "We have none left.")]);
    let error = script.ec2().run_instance(&launch_for_tests()).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Capacity);
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn what_does_not_pass_is_an_error_in_the_end() {
    let check = |reply: Reply, kind: CloudErrorKind| {
        let script = Script::of([reply]);
        let error = script.ec2().default_vpc().unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.kind.is_transient());
        assert_eq!(script.requests().len(), MAX_ATTEMPTS as usize);
    };
    check(Reply::Lost, CloudErrorKind::Unreachable);
    check(refusal(503, "RequestLimitExceeded", "Request limit exceeded."), CloudErrorKind::Throttled);
    check(refusal(500, "InternalError", "An internal error has occurred."), CloudErrorKind::Unavailable);
    check(Reply::Answer(502, "<html>Bad Gateway</html>".to_owned()), CloudErrorKind::Unavailable);
}

#[test]
fn a_machine_that_is_not_visible_yet_is_not_found_and_then_is() {
    let content = format!(
        "<reservationSet><item><instancesSet>{}</instancesSet></item></reservationSet>",
        instance_xml("i-1", "")
    );
    let message = "The instance ID 'i-1' does not exist";
    let replies =
        [refusal(400, "InvalidInstanceID.NotFound", message), answer(Action::DescribeInstances, &content)];
    let ec2 = Script::of(replies).ec2();
    let query = InstanceQuery::Id(InstanceId::new("i-1"));
    assert_eq!(ec2.instances(&query).unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(ec2.instances(&query).unwrap().len(), 1);
}

#[test]
fn silence_has_an_end() {
    let script = Script::of([Reply::Silence]);
    let limits = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(20));
    let ec2 = script.ec2_with(|config| config.timeout_config(limits.build()));
    let error = ec2.default_vpc().unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    assert_eq!(script.requests().len(), MAX_ATTEMPTS as usize);
}

#[test]
fn a_run_that_is_to_stop_does_not_wait_for_an_answer() {
    let interrupt = Interrupt::default();
    let ec2 = Script::of([Reply::Silence]).ec2_until(&interrupt, |config| config);
    thread::scope(|threads| {
        let call = threads.spawn(|| ec2.default_vpc());
        interrupt.set();
        let error = call.join().unwrap().unwrap_err();
        assert!(error.to_string().ends_with("no answer had come when the run was asked to stop"), "{error}");
    });
    // An answer that comes at once is still taken, so that what was done is known.
    assert!(Script::of([vpc()]).ec2_until(&interrupt, |config| config).default_vpc().is_ok());
}

#[test]
fn a_rule_that_was_not_there_is_not_found_even_if_ec2_does_not_mind() {
    let script = Script::of([answer(Action::RevokeSecurityGroupIngress, "<return>false</return>")]);
    let error = script.ec2().revoke(&GroupId::new("sg-1"), &RuleId::new("sgr-1")).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NotFound);
}

#[test]
fn an_answer_that_lacks_something_is_an_error() {
    let check = |content: &str, says: &str| {
        let script = Script::of([answer(Action::RunInstances, content)]);
        let error = script.ec2().run_instance(&launch_for_tests()).unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Other);
        assert!(error.to_string().contains(says), "{error}");
    };
    let machine = instance_xml("i-1", "");
    check("", "lacks an instance");
    check("<instancesSet><item/></instancesSet>", "lacks instanceId");
    let odd = machine.replace("pending", "dreaming");
    check(&format!("<instancesSet>{odd}</instancesSet>"), "instanceState that makes no sense");
    let odd = machine.replace("</imageId>", "</imageId><ipAddress>1.2.3</ipAddress>");
    check(&format!("<instancesSet>{odd}</instancesSet>"), "ipAddress that makes no sense");
}

/// Credentials that were fine and then were not.
#[derive(Debug)]
struct ExpiredLogin;

impl ProvideCredentials for ExpiredLogin {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::error::CredentialsError;
        Provided::ready(Err(CredentialsError::provider_error("the SSO session has expired")))
    }
}

#[test]
fn errors_as_a_person_reads_them() {
    let denied = "You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/me \
                  is not authorized to perform: ec2:RunInstances";
    let launch = launch_for_tests();
    let replies = [
        refusal(403, "UnauthorizedOperation", denied),
        refusal(
            500,
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient t3.micro capacity in the Availability Zone you requested.",
        ),
        Reply::Lost,
        Reply::Silence,
        Reply::Answer(502, "<html>Bad Gateway</html>".to_owned()),
        answer(Action::RunInstances, ""),
    ];
    let limits = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(20)).build();
    let mut errors: Vec<CloudError> = replies
        .map(|reply| {
            let ec2 = Script::of([reply]).ec2_with(|config| config.timeout_config(limits.clone()));
            ec2.run_instance(&launch).unwrap_err()
        })
        .into();
    let nowhere = Script::of([vpc()]).ec2_with(|config| config.endpoint_url("ht!tp:/x"));
    errors.push(nowhere.run_instance(&launch).unwrap_err());
    let expired = Script::of([vpc()]).ec2_with(|config| config.credentials_provider(ExpiredLogin));
    errors.push(expired.default_vpc().unwrap_err());
    let lines: Vec<String> =
        errors.iter().map(|error| format!("{:?}: {}", error.kind, error_chain(error))).collect();
    for (error, line) in errors.iter().zip(&lines) {
        let all = format!("{line} {error:?}");
        assert!(!all.contains(SECRET) && !all.contains("UserData"), "{all}");
    }
    insta::assert_snapshot!(lines.join("\n"));
}
