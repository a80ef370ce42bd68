// SPDX-License-Identifier: GPL-2.0
//! The author of the driver, as named in the kernel's tree.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec::capture;

/// The person that signs off, as `name <address>`.
#[derive(Clone)]
pub struct Author(String);

impl Author {
    /// Returns the user in git's settings, or else the author of the last commit.
    pub fn find(repo: &Path) -> Result<Self> {
        let git =
            |arguments: &[&str]| capture(Command::new("git").arg("-C").arg(repo).args(arguments));
        let ident = git(&["config", "user.email"])
            .and_then(|_| git(&["var", "GIT_AUTHOR_IDENT"]))
            .or_else(|_| git(&["log", "-1", "--format=%an <%ae>"]))
            .context("git has no identity: set user.name and user.email")?;
        Self::parse(&ident).with_context(|| format!("\"{}\" is no author", ident.trim()))
    }

    /// Parses `name <address>` at the beginning of `ident`.
    pub fn parse(ident: &str) -> Option<Self> {
        let end = ident.find('>')?;
        let (name, address) = ident[..end].split_once(" <")?;
        Some(Self(format!("{name} <{address}>")))
    }

    pub fn name(&self) -> &str {
        self.0.split(" <").next().unwrap_or_default()
    }

    pub fn email(&self) -> &str {
        let address = self.0.split(" <").nth(1).unwrap_or_default();
        address.trim_end_matches('>')
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
