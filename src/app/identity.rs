//! What distinguishes this process from every other live one.
//!
//! A container that restarts in the same pod has the same pod UID, and continues the lease of its
//! predecessor. That one is dead: a kubelet starts a container only after the previous one has ended. That no
//! other process of the pod uses this name is not assumed but proven, by a socket that carries it: the kernel
//! gives the name to one process only, and takes it back when that process is gone. The containers of a pod
//! share the network namespace in which such names live. A process that does not get the name takes a random
//! one and waits for its turn.

use parking_lot::Mutex;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Held as long as this process lives.
static NAMES: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// The unique part of the identity: the pod's UID if no other process has it, otherwise a random one.
pub(crate) fn life(pod: Option<&str>) -> String {
    match pod.filter(|uid| !uid.is_empty()) {
        Some(uid) if claim(uid) => uid.to_owned(),
        Some(uid) => {
            tracing::warn!(
                uid,
                "another process of this pod is running, or the pod's name can't be claimed; using a lease identity of its own"
            );
            random()
        }
        None => random(),
    }
}

fn random() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Claims the name for this process; returns whether it succeeded.
fn claim(uid: &str) -> bool {
    let bound = SocketAddr::from_abstract_name(format!("operatorconnect.dev/{uid}"))
        .and_then(|address| UnixListener::bind_addr(&address));
    bound.map(|listener| NAMES.lock().push(listener)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_that_live_have_the_same_and_one_after_the_other_does() {
        let uid = random();
        let address = SocketAddr::from_abstract_name(format!("operatorconnect.dev/{uid}")).unwrap();
        // For the kernel, the holder of the socket is the live process, even within one test.
        let other = UnixListener::bind_addr(&address).unwrap();
        assert_ne!(life(Some(&uid)), uid, "the other one lives");
        drop(other);
        assert_eq!(life(Some(&uid)), uid, "it is gone");
        assert_ne!(life(Some(&uid)), uid, "now this one has it");
        assert_ne!(life(None), life(None));
        assert_ne!(life(Some("")), life(Some("")));
    }
}
