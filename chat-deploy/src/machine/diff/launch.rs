//! How a new machine is made: which types in which places, from which image, with which key and group.

use super::rules;
use crate::cloud::{Image, InstanceType, Subnet, TypeFacts};
use crate::machine::cost::Cost;
use crate::machine::observe::{Catalog, Observed};
use crate::machine::plan::{Choice, LaunchPlan, Plan, Step};
use crate::machine::spec::Spec;
use crate::machine::{MachineError, image, tags};

/// The kinds of keys that ImportKeyPair takes.
///
/// # Source
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html>
const EC2_TAKES: [&str; 2] = ["ssh-ed25519", "ssh-rsa"];

/// Plans a machine with all it needs; what an earlier run left is used.
pub(super) fn plan(spec: &Spec, observed: &Observed) -> Result<Plan, MachineError> {
    let nothing = Catalog::default();
    let catalog = observed.catalog.as_ref().unwrap_or(&nothing);
    let places = places(spec, catalog)?;
    let mut launch = choose(spec, catalog, &places)?;
    launch.group = observed.group.as_ref().map(|group| group.id.clone());

    let kind = spec.public_key.split(' ').next().unwrap_or_default();
    if !EC2_TAKES.contains(&kind) {
        return Err(MachineError::KeyKind { kind: kind.to_owned() });
    }

    let mut plan = Plan { warnings: no_way_out(catalog, &places).into_iter().collect(), ..Plan::default() };
    if observed.key_pairs.iter().all(|key| key.name != launch.key_name) {
        let (name, public_key) = (launch.key_name.clone(), spec.public_key.clone());
        plan.steps.push(Step::ImportKey { name, public_key });
    }
    if observed.group.is_some() {
        rules::plan(spec, observed, &mut plan);
    } else {
        plan.steps.extend(places.first().map(|place| Step::CreateGroup {
            name: tags::group_name(&spec.instance),
            vpc: place.vpc.clone(),
        }));
        plan.steps.push(Step::OpenPorts { group: None, rules: spec.rules() });
    }
    plan.cost = launch.first().and_then(|first| Cost::of(&catalog.region, &first.kind, launch.disk_gib));
    plan.steps.push(Step::Launch(Box::new(launch)));
    Ok(plan)
}

/// Says how a new machine would be made, whether or not there is one, and what to know of that.
///
/// # Errors
///
/// [`MachineError`] if nothing that would do is to be had.
pub fn consider(spec: &Spec, catalog: &Catalog) -> Result<(LaunchPlan, Option<String>), MachineError> {
    let places = places(spec, catalog)?;
    Ok((choose(spec, catalog, &places)?, no_way_out(catalog, &places)))
}

/// Picks the subnets that will do, by their zones.
fn places<'a>(spec: &Spec, catalog: &'a Catalog) -> Result<Vec<&'a Subnet>, MachineError> {
    let region = catalog.region.clone();
    let Some(vpc) = &catalog.vpc else {
        return Err(match &spec.subnet {
            Some(subnet) => MachineError::NoSubnet { region, why: format!("{subnet} is not there") },
            None => MachineError::NoDefaultVpc { region },
        });
    };
    let mut subnets: Vec<_> = catalog.subnets.iter().collect();
    subnets.sort_by(|a, b| (&a.zone, &a.id).cmp(&(&b.zone, &b.id)));
    let will_do = |subnet: &&Subnet| spec.subnet.is_some() || subnet.is_default;
    let (places, others): (Vec<_>, Vec<_>) = subnets.into_iter().partition(will_do);
    if places.is_empty() {
        let lacks: Vec<_> = others
            .iter()
            .map(|subnet| format!("{} ({}) is not the default one of its zone", subnet.id, subnet.zone))
            .collect();
        let why = if lacks.is_empty() { format!("{vpc} has none") } else { lacks.join("; ") };
        return Err(MachineError::NoSubnet { region, why });
    }
    let leads_out = |subnet: &&Subnet| catalog.routes.reaches(&subnet.id);
    Ok(if places.iter().any(leads_out) { places.into_iter().filter(leads_out).collect() } else { places })
}

/// Says so if no place is known to lead to the internet. It may all the same, through something else than a gateway of its
/// own, so it is for the person to say.
fn no_way_out(catalog: &Catalog, places: &[&Subnet]) -> Option<String> {
    if places.iter().any(|subnet| catalog.routes.reaches(&subnet.id)) {
        return None;
    }
    let named = places.iter().map(|subnet| subnet.id.as_str()).take(2).collect::<Vec<_>>().join(", ");
    let them = match places.len().saturating_sub(2) {
        0 => named,
        more => format!("{named} and {more} more"),
    };
    Some(format!("no route to an internet gateway is known for {them}: the machine may be out of reach"))
}

/// Puts types and places in order: the types as the person prefers them, each in every place that offers it. The first
/// type that will do decides on the image; those after it are there for when EC2 turns out not to have it.
fn choose(spec: &Spec, catalog: &Catalog, places: &[&Subnet]) -> Result<LaunchPlan, MachineError> {
    if catalog.images.is_empty() {
        let wanted = spec.image.as_ref().map_or_else(|| image::KIND.to_owned(), ToString::to_string);
        return Err(MachineError::NoImage { region: catalog.region.clone(), wanted });
    }
    let (mut found, mut why_not): (Option<LaunchPlan>, Vec<String>) = (None, Vec::new());
    for kind in &spec.types {
        let taken = found.as_ref().map(|launch| &launch.image);
        match offer(spec, catalog, places, kind, taken) {
            Ok((image, choices)) => match &mut found {
                Some(launch) => launch.choices.extend(choices),
                None => found = Some(launch(spec, image, choices, &why_not)),
            },
            Err(lack) => why_not.push(lack),
        }
    }
    found.ok_or_else(|| MachineError::NoType {
        region: catalog.region.clone(),
        types: spec.types.iter().map(InstanceType::as_str).collect::<Vec<_>>().join(" or "),
        why: why_not.join("; "),
    })
}

fn launch(spec: &Spec, image: &Image, choices: Vec<Choice>, why_not_before: &[String]) -> LaunchPlan {
    LaunchPlan {
        image: image.clone(),
        choices,
        why: (!why_not_before.is_empty()).then(|| why_not_before.join("; ")),
        key_name: spec.key_name(),
        group: None,
        // A disk cannot be smaller than what is on it.
        disk_gib: spec.disk_gib.max(image.root_gib.unwrap_or_default()),
    }
}

/// Says from which image and in which places a type is to be had, or why it is not.
fn offer<'a>(
    spec: &Spec,
    catalog: &'a Catalog,
    places: &[&Subnet],
    kind: &InstanceType,
    taken: Option<&Image>,
) -> Result<(&'a Image, Vec<Choice>), String> {
    let region = &catalog.region;
    let facts = catalog.types.iter().find(|facts| facts.kind == *kind);
    let facts = facts.ok_or_else(|| format!("{kind} is not offered in {region}"))?;
    let offers = |zone: &str| catalog.offerings.iter().any(|o| o.kind == *kind && o.zone == zone);
    let choices: Vec<_> = places
        .iter()
        .filter(|place| offers(&place.zone))
        .map(|place| Choice {
            kind: kind.clone(),
            standard_credits: facts.burstable,
            subnet: place.id.clone(),
            zone: place.zone.clone(),
        })
        .collect();
    if choices.is_empty() {
        let zones: Vec<_> = places.iter().map(|place| place.zone.as_str()).collect();
        return Err(format!("{kind} is not offered in {}", zones.join(", ")));
    }
    Ok((fitting(spec, catalog, facts, taken)?, choices))
}

/// Finds the image for a type: the one that is wanted or taken already, if it runs there.
fn fitting<'a>(
    spec: &Spec,
    catalog: &'a Catalog,
    facts: &TypeFacts,
    taken: Option<&Image>,
) -> Result<&'a Image, String> {
    let kind = &facts.kind;
    let runs = |image: &Image| facts.architectures.contains(&image.architecture);
    let given = match (taken, &spec.image) {
        (Some(taken), _) => catalog.images.iter().find(|image| image.id == taken.id),
        (None, Some(_)) => catalog.images.first(),
        (None, None) => None,
    };
    if let Some(image) = given {
        return if runs(image) {
            Ok(image)
        } else {
            Err(format!("{kind} does not run {}, which is for {}", image.id, image.architecture))
        };
    }
    let supported = image::ARCHITECTURES.iter().filter(|own| facts.architectures.iter().any(|a| a == *own));
    let newest = supported.filter_map(|own| image::newest(&catalog.images, own)).next();
    newest.ok_or_else(|| {
        format!("there is no image {} for {kind} ({})", image::KIND, facts.architectures.join(", "))
    })
}
