//! What a refusal means, by the fields that it names.

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::Change;
use oc_domain::refusal::of_change;
use oc_domain::requests::{NewLead, NewService};

use crate::common::*;

#[test]
fn the_field_that_is_at_fault_says_whose_move_it_is() {
    let lead = || Change::CreateLead(NewLead { tenant: tenant(), company_name: "Contoso".into() });
    let service = || Change::CreateService(Box::new(NewService { tenant: tenant(), parameters: parameters() }));
    let (taken, used) = (("TenantId", "This MsTenant already exists as an UMP lead!"), ("CompanyName", "Company name is already used for an UMP lead."));
    let shown = "spec.msTenantId that its list does not show";
    let another = "Set spec.consentless.companyName to a name that no other lead has.";
    let table = [
        (lead(), vec![taken], Reason::PlatformRefused, shown),
        (lead(), vec![used], Reason::InvalidSpec, another),
        (lead(), vec![used, taken], Reason::PlatformRefused, shown),
        (lead(), vec![("tenantId", "The value is not valid.")], Reason::InvalidSpec, "Correct spec.msTenantId."),
        (lead(), vec![("CompanyName", "Too long.")], Reason::InvalidSpec, "Correct spec.consentless.companyName."),
        (lead(), vec![("Region", "Unknown.")], Reason::PlatformRefused, "said"),
        (lead(), vec![], Reason::PlatformRefused, "said"),
        (service(), vec![("customer.ShortName", "Short name is already used for an UMP customer.")], Reason::ShortNameTaken, "said"),
        (service(), vec![("shortName", "Bad characters.")], Reason::InvalidSpec, "said"),
        (service(), vec![("customerFullName", "Too long.")], Reason::PlatformRefused, "said"),
        (service(), vec![used], Reason::PlatformRefused, "said"),
        (Change::DeleteLead(tenant()), vec![used], Reason::PlatformRefused, "said"),
    ];
    for (change, faults, reason, ends) in table {
        let faults: Vec<_> = faults.into_iter().map(|(field, text)| (field.to_owned(), vec![text.to_owned()])).collect();
        let told = of_change(&change, &faults, Trouble::new(Reason::PlatformRefused, "said"));
        assert_eq!(told.reason, reason, "{change:?} {faults:?}");
        assert!(told.message.starts_with("said") && told.message.contains(ends), "{faults:?}: {}", told.message);
        assert!(told.message == "said" || told.message.starts_with("said. "), "{}", told.message);
    }
}
