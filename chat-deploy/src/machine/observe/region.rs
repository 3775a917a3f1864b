//! What the region has to offer for a new machine.

use std::thread;

use super::{Catalog, join};
use crate::cloud::{Cloud, CloudError, CloudErrorKind, ImageQuery, RouteToInternet, Subnet, SubnetId, VpcId};
use crate::machine::image;
use crate::machine::spec::Spec;

/// Looks at all of it at once.
pub(super) fn look(cloud: &dyn Cloud, spec: &Spec) -> Result<Catalog, CloudError> {
    thread::scope(|scope| {
        let images = scope.spawn(|| {
            let query = spec.image.clone().map_or_else(image::query, ImageQuery::Id);
            or_none(cloud.images(&query))
        });
        let offerings = scope.spawn(|| cloud.offerings(&spec.types));
        let types = scope.spawn(|| cloud.type_facts(&spec.types));
        let network = match &spec.subnet {
            Some(subnet) => network_around(cloud, subnet),
            None => default_network(cloud),
        };
        let (images, offerings, types) = (join(images)?, join(offerings)?, join(types)?);
        let Network { vpc, subnets, routes } = network?;
        let region = cloud.region().to_owned();
        Ok(Catalog { region, images, vpc, subnets, routes, offerings, types })
    })
}

#[derive(Default)]
struct Network {
    vpc: Option<VpcId>,
    subnets: Vec<Subnet>,
    routes: RouteToInternet,
}

fn default_network(cloud: &dyn Cloud) -> Result<Network, CloudError> {
    let Some(vpc) = cloud.default_vpc()? else {
        return Ok(Network::default());
    };
    let (subnets, routes) = thread::scope(|scope| {
        let subnets = scope.spawn(|| cloud.subnets(Some(&vpc), None));
        let routes = cloud.routes(&vpc);
        Ok::<_, CloudError>((join(subnets)?, routes?))
    })?;
    Ok(Network { vpc: Some(vpc), subnets, routes })
}

fn network_around(cloud: &dyn Cloud, subnet: &SubnetId) -> Result<Network, CloudError> {
    let subnets = or_none(cloud.subnets(None, Some(subnet)))?;
    let vpc = subnets.first().map(|subnet| subnet.vpc.clone());
    let routes = vpc.as_ref().map(|vpc| cloud.routes(vpc)).transpose()?.unwrap_or_default();
    Ok(Network { vpc, subnets, routes })
}

/// What was named and is not there is an empty list, of which `diff` has something to say.
fn or_none<T>(answer: Result<Vec<T>, CloudError>) -> Result<Vec<T>, CloudError> {
    match answer {
        Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Vec::new()),
        answer => answer,
    }
}
