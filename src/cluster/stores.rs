//! The stores of all kinds, and what each kind has in common for them.

use std::sync::Arc;

use crate::cluster::decode::Decode;
use crate::cluster::has_status::HasStatus;
use crate::cluster::key::ObjectKey;
use crate::cluster::kind::{Kind, with_kinds};
use crate::cluster::managed::ManagedResource;
use crate::cluster::store::Store;

/// One of our kinds, with its row in the table.
pub trait KnownResource: Decode + kube::core::object::HasStatus<Status: HasStatus> {
    /// The kind.
    const KIND: Kind;
    /// The store of its objects.
    fn stored(stores: &Stores) -> &Arc<Store<Self>>;
}

/// Returns the key of an object.
pub fn key_of<K: KnownResource>(object: &K) -> ObjectKey {
    let meta = object.meta();
    ObjectKey::new(
        K::KIND,
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

impl Stores {
    /// Returns the key of an object, with the text that the store has, if the object is known: keys are kept in many
    /// tables.
    pub fn key_of<K: KnownResource>(&self, object: &K) -> ObjectKey {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        ObjectKey::with_name(K::KIND, namespace, K::stored(self).name_of(object))
    }
}

/// Makes what has one line per kind. The first token is a `$`, which the nested macro needs.
macro_rules! stores {
    ($d:tt $($(#[$doc:meta])* $kind:ident($plural:literal) in $stored:ident),+ $(,)?) => {
        /// The objects of all kinds, as received from the watches.
        #[derive(Default)]
        pub struct Stores {
            $(
                #[doc = concat!("All `", stringify!($kind), "` objects.")]
                pub $stored: Arc<Store<oc_api::$kind>>,
            )+
        }

        $(
            impl ManagedResource for oc_api::$kind {}

            impl KnownResource for oc_api::$kind {
                const KIND: Kind = Kind::$kind;

                fn stored(stores: &Stores) -> &Arc<Store<Self>> {
                    &stores.$stored
                }
            }
        )+

        /// Evaluates an expression with the type of a kind.
        macro_rules! for_kind {
            ($d kind:expr, $d K:ident => $d body:expr) => {
                match $d kind {
                    $(
                        $d crate::cluster::kind::Kind::$kind => {
                            type $d K = oc_api::$kind;
                            $d body
                        }
                    )+
                }
            };
        }
    };
}
with_kinds!(stores $);

pub(crate) use for_kind;
