//! Who may do what, what an organisation pays for, and where it lives.
//!
//! In scope: the closed lists and their order. Out of scope: which route needs which role (the route table says so).

text_enum! {
    /// What a person is in an organisation. The order is the order of power.
    pub enum OrgRole {
        /// Sees the organisation and the workspaces he was added to.
        Member = "member",
        /// Governs members, invitations and every workspace.
        Admin = "admin",
        /// An admin who also governs owners, the plan and the organisation's end.
        Owner = "owner",
    }
}

text_enum! {
    /// What a person is in a workspace. The order is the order of power.
    pub enum WorkspaceRole {
        /// Reads.
        Viewer = "viewer",
        /// Reads and writes.
        Editor = "editor",
        /// Also governs members and settings.
        Admin = "admin",
    }
}

text_enum! {
    /// What an organisation pays for.
    pub enum Plan {
        /// The default.
        Free = "free",
        /// Five times the limits of free.
        Team = "team",
        /// Twenty times the limits of free.
        Business = "business",
        /// A hundred times the limits of free.
        Enterprise = "enterprise",
    }
}

text_enum! {
    /// Where an organisation's objects are created: the location hints of Durable Objects.
    #[derive(Default)]
    pub enum Region {
        /// Western North America.
        WesternNorthAmerica = "wnam",
        /// Eastern North America.
        EasternNorthAmerica = "enam",
        /// South America.
        SouthAmerica = "sam",
        /// Western Europe, the default.
        #[default]
        WesternEurope = "weur",
        /// Eastern Europe.
        EasternEurope = "eeur",
        /// Asia and the Pacific.
        AsiaPacific = "apac",
        /// Oceania.
        Oceania = "oc",
        /// Africa.
        Africa = "afr",
        /// The Middle East.
        MiddleEast = "me",
    }
}

impl Region {
    /// The hint a Durable Object is created with.
    #[must_use]
    pub const fn location_hint(self) -> &'static str {
        self.as_str()
    }
}

impl OrgRole {
    /// What this role is in every workspace of the organisation without being added to it.
    #[must_use]
    pub const fn in_every_workspace(self) -> Option<WorkspaceRole> {
        match self {
            Self::Member => None,
            Self::Admin | Self::Owner => Some(WorkspaceRole::Admin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_power_compares_greater() {
        assert!(OrgRole::Owner > OrgRole::Admin && OrgRole::Admin > OrgRole::Member);
        assert!(WorkspaceRole::Admin > WorkspaceRole::Editor && WorkspaceRole::Editor > WorkspaceRole::Viewer);
    }

    #[test]
    fn every_word_reads_back_and_no_other_does() {
        for region in Region::ALL {
            assert_eq!(Region::parse(region.as_str()), Some(*region));
        }
        assert_eq!(Plan::parse("Free"), None);
        assert_eq!(OrgRole::parse("editor"), None);
    }
}
