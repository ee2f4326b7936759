//! The table of the kinds. A new kind gets a row in [`with_kinds`]; what else it needs, the compiler asks for
//! where [`for_kind`](crate::cluster::stores::for_kind) is used.

/// Passes the rows of the table, one per kind, to a macro. `$` goes along for a macro that defines another.
macro_rules! with_kinds {
    ($make:ident $($d:tt)?) => {
        $make! {
            $($d)?
            /// `LivePlatform`
            LivePlatform("liveplatforms") in platforms,
            /// `Lead`
            Lead("leads") in leads,
            /// `OcEssentialService`
            OcEssentialService("ocessentialservices") in services,
            /// `LeadPolicy`
            LeadPolicy("leadpolicies") in policies,
        }
    };
}
pub(crate) use with_kinds;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($plural:literal) in $stored:ident),+ $(,)?) => {
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
    };
}
with_kinds!(kinds);
