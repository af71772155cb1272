//! The search for the role that lists a path (TUF 1.0, 5.6.7): from the top, depth first, each role once; it ends at a terminating
//! delegation.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use super::schema::{Delegation, TargetFile, TargetsRole};
use super::target::TargetPath;
use super::{Document, Error};

/// Returns the first role that lists `path`: its name (`None` for the top), its metadata and its entry. `load` returns the metadata of a
/// delegated role, given its parent's metadata and the delegation, or `None` if there is none.
pub(super) fn walk<D: Borrow<Document<TargetsRole>>>(
    top: D,
    path: &str,
    mut load: impl FnMut(&Document<TargetsRole>, &Delegation) -> Result<Option<D>, Error>,
) -> Result<Option<(Option<String>, D, TargetFile)>, Error> {
    let listed: Option<TargetPath> = path.parse().ok();
    let mut visited = BTreeSet::new();
    let mut open: Vec<Step<D>> = vec![Step::Top(top)];
    while let Some(step) = open.pop() {
        let (name, document) = match step {
            Step::Top(document) => (None, document),
            Step::Delegated(parent, index) => {
                let parent: &Document<TargetsRole> = (*parent).borrow();
                let Some(delegation) = delegation(parent, index) else { continue };
                if !visited.insert(delegation.name.clone()) {
                    continue;
                }
                let Some(document) = load(parent, delegation)? else { continue };
                (Some(delegation.name.to_string()), document)
            }
        };
        if let Some(file) = listed.as_ref().and_then(|path| document.borrow().role().targets.get(path)) {
            let file = *file;
            return Ok(Some((name, document, file)));
        }
        let document = std::rc::Rc::new(document);
        let mut inner = Vec::new();
        let roles = (*document).borrow().role().delegations.iter().flat_map(|delegations| &delegations.roles);
        for (index, delegation) in roles.enumerate().filter(|(_, delegation)| delegation.covers(path)) {
            inner.push(Step::Delegated(document.clone(), index));
            if delegation.terminating {
                open.clear();
                break;
            }
        }
        open.extend(inner.into_iter().rev());
    }
    Ok(None)
}

enum Step<D> {
    Top(D),
    Delegated(std::rc::Rc<D>, usize),
}

fn delegation(document: &Document<TargetsRole>, index: usize) -> Option<&Delegation> {
    document.role().delegations.as_ref()?.roles.get(index)
}
