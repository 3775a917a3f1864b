//! What is asked, and what is read out of the answers.

use std::net::Ipv4Addr;

use super::*;
use crate::cloud::{ImageId, InstanceState};

#[test]
fn a_launch_says_all_of_it() {
    let more = "<privateIpAddress>10.0.0.12</privateIpAddress><clientToken>7f8e3c</clientToken>";
    let machine = format!("<instancesSet>{}</instancesSet>", instance_xml("i-1", more));
    let script = Script::of([answer(Action::RunInstances, &machine)]);
    let instance = script.ec2().run_instance(&launch_for_tests()).unwrap();
    assert_eq!(instance.id, InstanceId::new("i-1"));
    assert_eq!((instance.address, instance.client_token.as_deref()), (None, Some("7f8e3c")));
    let request = script.request();
    assert_eq!(
        BASE64.decode(&request["UserData"]).unwrap(),
        launch_for_tests().user_data.as_str().as_bytes()
    );
    insta::assert_debug_snapshot!(request);
}

#[test]
fn a_launch_without_credits_does_not_mention_them() {
    let machine = format!("<instancesSet>{}</instancesSet>", instance_xml("i-1", ""));
    let script = Script::of([answer(Action::RunInstances, &machine)]);
    script.ec2().run_instance(&Launch { standard_credits: false, ..launch_for_tests() }).unwrap();
    assert!(script.request().keys().all(|key| !key.contains("Credit")));
}

#[test]
fn a_machine_is_read() {
    let more = r"<ipAddress>54.194.252.215</ipAddress><vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId>
        <stateReason><code>pending</code><message>pending</message></stateReason>
        <placement><availabilityZone>eu-west-1c</availabilityZone></placement><keyName>my-key</keyName>
        <groupSet><item><groupId>sg-1</groupId><groupName>a</groupName></item></groupSet><clientToken/>
        <networkInterfaceSet><item><groupSet><item><groupId>sg-1</groupId></item><item><groupId>sg-2</groupId></item>
        </groupSet></item></networkInterfaceSet>
        <tagSet><item><key>Name</key><value>x</value></item><item><key>empty</key><value/></item></tagSet>";
    let content = format!(
        "<reservationSet><item><instancesSet>{}</instancesSet></item></reservationSet>",
        instance_xml("i-1234567890abcdef0", more)
    );
    let script = Script::of([answer(Action::DescribeInstances, &content)]);
    let id = InstanceId::new("i-1234567890abcdef0");
    let found = script.ec2().instances(&InstanceQuery::Id(id.clone())).unwrap();
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = Instance {
        id,
        state: InstanceState::Pending,
        state_reason: Some("pending".to_owned()),
        kind: InstanceType::new("t2.micro"),
        image: ImageId::new("ami-0abcdef1234567890"),
        address: Some(Ipv4Addr::new(54, 194, 252, 215)),
        groups: vec![GroupId::new("sg-1"), GroupId::new("sg-2")],
        vpc: Some(VpcId::new("vpc-1")),
        subnet: Some(SubnetId::new("subnet-1")),
        zone: Some("eu-west-1c".to_owned()),
        key_name: Some("my-key".to_owned()),
        client_token: None,
        launched_at: 1_795_356_001,
        tags: Tags::from([tag("Name", "x"), tag("empty", "")]),
    };
    assert_eq!(found, [expected]);
}

#[test]
fn machines_are_found_by_all_of_their_tags_over_all_pages() {
    let page = |id: &str, next: &str| {
        let machine = instance_xml(id, "");
        let content = format!(
            "<reservationSet><item><instancesSet>{machine}</instancesSet></item></reservationSet>{next}"
        );
        answer(Action::DescribeInstances, &content)
    };
    let script = Script::of([page("i-1", "<nextToken>page 2</nextToken>"), page("i-2", "")]);
    let found = script.ec2().instances(&InstanceQuery::Tagged(tags_for_tests())).unwrap();
    let ids: Vec<_> = found.iter().map(|instance| instance.id.as_str()).collect();
    assert_eq!(ids, ["i-1", "i-2"]);
    let requests = script.requests();
    assert_eq!(requests[1].get("NextToken").map(String::as_str), Some("page 2"));
    assert_eq!(requests.len(), 2);
    insta::assert_debug_snapshot!(requests[0]);
}

#[test]
fn a_question_about_everything_is_never_asked() {
    let script = Script::of([answer(Action::DescribeInstances, "")]);
    let ec2 = script.ec2();
    let nothing = Tags::new();
    let refused = [
        ec2.instances(&InstanceQuery::Tagged(nothing.clone())).map(drop),
        ec2.groups_tagged(&nothing).map(drop),
        ec2.key_pairs_tagged(&nothing).map(drop),
        ec2.untag("i-1", &[]),
    ];
    assert!(refused.iter().all(Result::is_err));
    assert_eq!(ec2.groups(&[]).unwrap(), []);
    assert_eq!(script.requests(), [], "nothing is sent");
}

#[test]
fn a_rule_goes_out_by_the_kind_of_its_source() {
    let check = |source: &str, field: &str| {
        let script = Script::of([answer(Action::AuthorizeSecurityGroupIngress, "<return>true</return>")]);
        let rule = Rule {
            protocol: "tcp".to_owned(),
            from_port: Some(8000),
            to_port: Some(8010),
            source: source.to_owned(),
        };
        script.ec2().authorize(&GroupId::new("sg-1"), &rule, &tags_for_tests()).unwrap();
        let request = script.request();
        assert_eq!(request.get(field).map(String::as_str), Some(source), "{request:#?}");
        let ports = ["FromPort", "ToPort"].map(|end| request[&format!("IpPermissions.1.{end}")].clone());
        assert_eq!(ports, ["8000", "8010"]);
        assert_eq!(request["TagSpecification.1.ResourceType"], "security-group-rule");
        assert_eq!(request["TagSpecification.1.Tag.2.Key"], "chat-deploy:managed");
    };
    check("203.0.113.0/24", "IpPermissions.1.IpRanges.1.CidrIp");
    check("::/0", "IpPermissions.1.Ipv6Ranges.1.CidrIpv6");
    check("sg-2", "IpPermissions.1.Groups.1.GroupId");
    check("pl-1", "IpPermissions.1.PrefixListIds.1.PrefixListId");
}

#[test]
fn inbound_rules_are_read_with_their_tags() {
    let rule = |id: &str, egress: bool, content: &str| {
        format!(
            "<item><securityGroupRuleId>{id}</securityGroupRuleId><isEgress>{egress}</isEgress>{content}</item>"
        )
    };
    let any = "<ipProtocol>-1</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort>";
    let ssh = "<ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>";
    let ours = "<tagSet><item><key>chat-deploy:managed</key><value>true</value></item></tagSet>";
    let rules = [
        rule("sgr-1", true, &format!("{any}<cidrIpv4>0.0.0.0/0</cidrIpv4>")),
        rule("sgr-2", false, &format!("{ssh}<cidrIpv4>198.51.100.7/32</cidrIpv4>{ours}")),
        rule("sgr-3", false, &format!("{any}<cidrIpv6>::/0</cidrIpv6>")),
        rule(
            "sgr-4",
            false,
            &format!("{ssh}<referencedGroupInfo><groupId>sg-2</groupId></referencedGroupInfo>"),
        ),
    ];
    let content = format!("<securityGroupRuleSet>{}</securityGroupRuleSet>", rules.concat());
    let script = Script::of([answer(Action::DescribeSecurityGroupRules, &content)]);
    let found = script.ec2().rules(&GroupId::new("sg-1")).unwrap();
    let shown: Vec<_> = found.iter().map(|rule| (rule.id.as_str(), rule.rule.to_string())).collect();
    let expected =
        [("sgr-2", "tcp 22 from 198.51.100.7/32"), ("sgr-3", "all from ::/0"), ("sgr-4", "tcp 22 from sg-2")];
    assert_eq!(shown, expected.map(|(id, rule)| (id, rule.to_owned())));
    let tagged: Vec<_> = found.iter().map(|rule| rule.tags.len()).collect();
    assert_eq!(tagged, [1, 0, 0]);
}

#[test]
fn a_group_has_one_rule_for_each_source() {
    let content = "<securityGroupInfo><item><groupId>sg-1</groupId><groupName>launch-wizard-3</groupName>
        <vpcId>vpc-1</vpcId><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>80</fromPort><toPort>80</toPort>
        <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item><item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges>
        <ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges></item></ipPermissions></item></securityGroupInfo>";
    let script = Script::of([answer(Action::DescribeSecurityGroups, content)]);
    let groups = script.ec2().groups_named("launch-wizard-3", &VpcId::new("vpc-1")).unwrap();
    let sources: Vec<_> = groups[0].rules.iter().map(|rule| rule.source.as_str()).collect();
    assert_eq!(sources, ["0.0.0.0/0", "10.0.0.0/8", "::/0"]);
}

#[test]
fn a_subnet_without_a_table_of_its_own_has_the_main_one() {
    let table = |association: &str, gateway: &str, state: &str| {
        format!(
            "<item><associationSet><item>{association}</item></associationSet><routeSet><item>
             <destinationCidrBlock>0.0.0.0/0</destinationCidrBlock>{gateway}<state>{state}</state></item></routeSet></item>"
        )
    };
    let igw = "<gatewayId>igw-1</gatewayId>";
    let tables = [
        table("<main>true</main>", igw, "active"),
        table("<subnetId>subnet-nat</subnetId>", "<natGatewayId>nat-1</natGatewayId>", "active"),
        table("<subnetId>subnet-gone</subnetId>", igw, "blackhole"),
        table("<subnetId>subnet-out</subnetId>", igw, "active"),
    ];
    let content = format!("<routeTableSet>{}</routeTableSet>", tables.concat());
    let script = Script::of([answer(Action::DescribeRouteTables, &content)]);
    let routes = script.ec2().routes(&VpcId::new("vpc-1")).unwrap();
    let reaches = ["subnet-other", "subnet-nat", "subnet-gone", "subnet-out"]
        .map(|subnet| routes.reaches(&SubnetId::new(subnet)));
    assert_eq!(reaches, [true, false, false, true]);
}

#[test]
fn an_image_has_the_size_of_its_root_disk() {
    let content = "<imagesSet><item><imageId>ami-1</imageId><name>al2023-ami-2023.9-x86_64</name>
        <creationDate>2026-11-02T10:00:00.000Z</creationDate><architecture>x86_64</architecture>
        <rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>
        <item><deviceName>/dev/xvdb</deviceName><ebs><volumeSize>100</volumeSize></ebs></item>
        <item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>8</volumeSize></ebs></item>
        </blockDeviceMapping></item></imagesSet>";
    let script = Script::of([answer(Action::DescribeImages, content)]);
    let query = ImageQuery::Named { owner: "amazon", pattern: "al2023-ami-2023.*-x86_64" };
    let images = script.ec2().images(&query).unwrap();
    assert_eq!((images[0].root_device.as_deref(), images[0].root_gib), (Some("/dev/xvda"), Some(8)));
    insta::assert_debug_snapshot!(script.request());
}

#[test]
fn a_key_is_imported_as_it_stands_in_its_file() {
    let script = Script::of([answer(Action::ImportKeyPair, "<keyPairId>key-1</keyPairId>")]);
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBpz me";
    let id = script.ec2().import_key_pair("chat-deploy-a", line, &tags_for_tests()).unwrap();
    assert_eq!(id, KeyPairId::new("key-1"));
    let request = script.request();
    assert_eq!(BASE64.decode(&request["PublicKeyMaterial"]).unwrap(), line.as_bytes());
    assert_eq!(request["TagSpecification.1.ResourceType"], "key-pair");
}

#[test]
fn the_console_is_decoded() {
    let output = BASE64.encode(b"ok \xff\n");
    let script = Script::of([answer(Action::GetConsoleOutput, &format!("<output>{output}</output>"))]);
    assert_eq!(script.ec2().console_output(&InstanceId::new("i-1")).unwrap(), "ok \u{fffd}\n");
    let script = Script::of([answer(Action::GetConsoleOutput, "")]);
    assert_eq!(script.ec2().console_output(&InstanceId::new("i-1")).unwrap(), "", "nothing there yet");
}

#[test]
fn threads_may_ask_at_once() {
    let script =
        Script::of([answer(Action::DescribeVpcs, "<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>")]);
    let ec2 = script.ec2();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(ec2.default_vpc().unwrap(), Some(VpcId::new("vpc-1"))));
        }
    });
    assert_eq!(script.requests().len(), 8);
}
