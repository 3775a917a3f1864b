//! Compares the machine that should be with what the cloud has, and plans what lies between. Pure: the same question, the
//! same plan.

use crate::machine::MachineError;
use crate::machine::observe::Observed;
use crate::machine::plan::Plan;
use crate::machine::spec::Spec;

/// Plans how to get the machine.
///
/// # Errors
///
/// [`MachineError`] if nothing that would do is to be had, or a machine made by hand would have to be adopted.
pub fn diff(spec: &Spec, observed: &Observed) -> Result<Plan, MachineError> {
    let _ = (spec, observed);
    unimplemented!()
}

/// Plans how to leave nothing of ours, and everything that is not ours.
#[must_use]
pub fn diff_to_nothing(observed: &Observed) -> Plan {
    let _ = observed;
    unimplemented!()
}
