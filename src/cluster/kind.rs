//! The table of the kinds. A new kind gets a row in [`kinds!`]; what else it needs, the compiler asks for
//! where [`for_kind`] is used.

use std::sync::Arc;

use crate::cluster::decode::Decode;
use crate::cluster::has_status::HasStatus;
use crate::cluster::store::Store;

/// One of our kinds, with its row in the table.
pub trait KnownResource: Decode + kube::core::object::HasStatus<Status: HasStatus> {
    /// The kind.
    const KIND: Kind;
    /// The store of its objects.
    fn stored(stores: &Stores) -> &Arc<Store<Self>>;
}

/// Makes everything that has one line per kind. The first token is a `$`, which the nested macro needs.
macro_rules! kinds {
    ($d:tt $($(#[$doc:meta])* $kind:ident($plural:literal) in $stored:ident),+ $(,)?) => {
        /// The kinds of our custom resources.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind),+
        }

        impl Kind {
            /// All kinds.
            pub const ALL: [Kind; [$(Kind::$kind),+].len()] = [$(Kind::$kind),+];

            /// Returns the kind as Kubernetes writes it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind)),+
                }
            }

            /// Returns the definition, from the repository.
            pub fn definition(self) -> &'static str {
                match self {
                    $(Self::$kind => include_str!(concat!("../../crds/operatorconnect.dev_", $plural, ".yaml"))),+
                }
            }
        }

        /// The objects of all kinds, as received from the watches.
        #[derive(Default)]
        pub struct Stores {
            $(
                #[doc = concat!("All `", stringify!($kind), "` objects.")]
                pub $stored: Arc<Store<oc_api::$kind>>,
            )+
        }

        $(
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

kinds! {
    $
    /// `LivePlatform`
    LivePlatform("liveplatforms") in platforms,
    /// `Lead`
    Lead("leads") in leads,
    /// `OcEssentialService`
    OcEssentialService("ocessentialservices") in services,
}

pub(crate) use for_kind;
