//! The flags and environment variables of Certificate Maker, and the links of the chain that they describe.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::{Args, Parser, Subcommand};
use kmskit::{Error, ErrorKind, Result};

use crate::certificate::Template;
use crate::chain::{Link, Origin};
use crate::issue::Role;
use crate::key_id::{Kms, KmsType};
use crate::template::{self, Data};
use crate::{exit, text_file, when};

/// Certificate chains for Fulcio and time-stamping authorities, from keys that exist.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a root, an intermediate if there is a key for it, and a leaf
    ///
    /// Makes no keys and overwrites nothing; all files are written or none. Templates are step's, in JSON; those built in
    /// are Fulcio's.
    #[command(after_help = format!("\
Example:
  certificate_maker create https://fulcio.example.com \\
      --kms-type awskms --aws-region eu-west-1 --root-key-id alias/root --leaf-key-id alias/leaf
  certificate_maker create tsa.example.com --root-key-id 'softkms:name=root;dir=keys' \\
      --leaf-key-id 'pkcs11:token=tsa;object=leaf?pin-source=file:/run/pin' --leaf-template leaf.json --chain-cert chain.pem

{}", exit::EXIT_CODES))]
    Create(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The subject's common name [default: that of the templates]
    #[arg(value_name = "COMMON-NAME")]
    common_name: Option<String>,
    /// Whose the key ids are that are no URIs
    #[arg(long, value_enum, env = "KMS_TYPE")]
    kms_type: Option<KmsType>,
    /// Region of AWS key ids
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    aws_region: Option<String>,
    /// Credentials for Google Cloud key ids
    #[arg(long, env = "GCP_CREDENTIALS_FILE", value_name = "FILE")]
    gcp_credentials_file: Option<String>,
    /// The root's key: AWS id, alias or ARN; Google Cloud resource name; any URI [env also: `KMS_ROOT_KEY_ID`]
    #[arg(long, env = "ROOT_KEY_ID", value_name = "KEY", hide_env_values = true)]
    root_key_id: Option<String>,
    /// The intermediate's key
    #[arg(long, env = "KMS_INTERMEDIATE_KEY_ID", value_name = "KEY", hide_env_values = true)]
    intermediate_key_id: Option<String>,
    /// The leaf's key [env also: `KMS_LEAF_KEY_ID`]
    #[arg(long, env = "LEAF_KEY_ID", value_name = "KEY", hide_env_values = true)]
    leaf_key_id: Option<String>,
    /// The root's template
    #[arg(long, env = "ROOT_TEMPLATE", value_name = "FILE")]
    root_template: Option<OsString>,
    /// The intermediate's template
    #[arg(long, env = "INTERMEDIATE_TEMPLATE", value_name = "FILE")]
    intermediate_template: Option<OsString>,
    /// The leaf's template
    #[arg(long, env = "LEAF_TEMPLATE", value_name = "FILE")]
    leaf_template: Option<OsString>,
    /// The root's lifetime
    #[arg(long, env = "ROOT_LIFETIME", value_name = "LENGTH", default_value = "87600h")]
    root_lifetime: String,
    /// The intermediate's lifetime
    #[arg(long, env = "INTERMEDIATE_LIFETIME", value_name = "LENGTH", default_value = "43800h")]
    intermediate_lifetime: String,
    /// The leaf's lifetime
    #[arg(long, env = "LEAF_LIFETIME", value_name = "LENGTH", default_value = "8760h")]
    leaf_lifetime: String,
    /// New file for the root
    #[arg(long, env = "ROOT_CERT", value_name = "FILE", default_value = "root.pem")]
    root_cert: OsString,
    /// New file for the intermediate, if one is made
    #[arg(long, env = "INTERMEDIATE_CERT", value_name = "FILE", default_value = "intermediate.pem")]
    intermediate_cert: OsString,
    /// New file for the leaf
    #[arg(long, env = "LEAF_CERT", value_name = "FILE", default_value = "leaf.pem")]
    leaf_cert: OsString,
    /// New file for the whole chain: leaf first, root last
    #[arg(long, env = "CHAIN_CERT", value_name = "FILE")]
    pub(crate) chain_cert: Option<OsString>,
    /// A root to use instead of making one
    #[arg(long, env = "EXISTING_ROOT_CERT", value_name = "FILE")]
    existing_root_cert: Option<OsString>,
    /// An intermediate to use instead of making one
    #[arg(long, env = "EXISTING_INTERMEDIATE_CERT", value_name = "FILE")]
    existing_intermediate_cert: Option<OsString>,
}

/// The options of one link.
struct Options<'a> {
    role: Role,
    key_id: Option<String>,
    template: Option<&'a OsStr>,
    builtin: &'static str,
    lifetime: &'a str,
    output: &'a OsStr,
    existing: Option<&'a OsStr>,
}

impl Create {
    /// Root, intermediate and leaf.
    pub(crate) fn links(&self) -> Result<[Link; 3]> {
        let links = [
            self.link(&Options {
                role: Role::Root,
                key_id: given(self.root_key_id.as_deref(), "KMS_ROOT_KEY_ID"),
                template: self.root_template.as_deref(),
                builtin: include_str!("templates/fulcio-root-template.json"),
                lifetime: &self.root_lifetime,
                output: &self.root_cert,
                existing: self.existing_root_cert.as_deref(),
            })?,
            self.link(&Options {
                role: Role::Intermediate,
                key_id: given(self.intermediate_key_id.as_deref(), "INTERMEDIATE_KEY_ID"),
                template: self.intermediate_template.as_deref(),
                builtin: include_str!("templates/fulcio-intermediate-template.json"),
                lifetime: &self.intermediate_lifetime,
                output: &self.intermediate_cert,
                existing: self.existing_intermediate_cert.as_deref(),
            })?,
            self.link(&Options {
                role: Role::Leaf,
                key_id: given(self.leaf_key_id.as_deref(), "KMS_LEAF_KEY_ID"),
                template: self.leaf_template.as_deref(),
                builtin: include_str!("templates/fulcio-leaf-template.json"),
                lifetime: &self.leaf_lifetime,
                output: &self.leaf_cert,
                existing: None,
            })?,
        ];
        if !links.iter().any(|link| matches!(link.origin, Origin::New { .. })) {
            return Err(bad("there is nothing to make".to_owned())
                .with_hint("give --root-key-id and --leaf-key-id, and with existing certificates --leaf-key-id"));
        }
        Ok(links)
    }

    fn link(&self, options: &Options<'_>) -> Result<Link> {
        let name = options.role.name();
        let kms = Kms {
            kind: self.kms_type,
            aws_region: self.aws_region.as_deref().filter(|text| !text.is_empty()),
            gcp_credentials_file: self.gcp_credentials_file.as_deref().filter(|text| !text.is_empty()),
        };
        let key = options.key_id.as_ref().map(|id| kms.uri(&format!("--{name}-key-id"), id)).transpose()?;
        let existing = options.existing.filter(|file| !file.is_empty());
        let template = options.template.filter(|file| !file.is_empty());
        let origin = match (existing, &key) {
            (Some(_), _) if template.is_some() => {
                return Err(bad(format!("both a template and an existing certificate for the {name}")));
            }
            (Some(file), _) => Origin::Existing(text_file::path(&format!("--existing-{name}-cert"), file)?.to_owned()),
            (None, None) if template.is_some() => {
                return Err(
                    bad(format!("a template for the {name}, but no key")).with_hint(format!("give --{name}-key-id"))
                );
            }
            (None, None) => Origin::None,
            (None, Some(_)) => Origin::New {
                template: Box::new(self.template(options)?),
                lifetime: when::length(options.lifetime)
                    .map_err(|error| error.in_context(format!("--{name}-lifetime")))?,
                output: text_file::path(&format!("--{name}-cert"), options.output)?.to_owned(),
            },
        };
        Ok(Link { role: options.role, key, origin })
    }

    fn template(&self, options: &Options<'_>) -> Result<Template> {
        let name = options.role.name();
        let (text, source) = match options.template.filter(|file| !file.is_empty()) {
            None => (options.builtin.to_owned(), format!("built-in {name} template")),
            Some(file) => {
                let path = text_file::path(&format!("--{name}-template"), file)?;
                (text_file::read(path)?, format!("{name} template {}", path.display()))
            }
        };
        let data = Data { common_name: self.common_name.as_deref() };
        let read = || {
            let template = Template::read(&template::render(&text, &data)?)?;
            options.role.check(&template)?;
            Ok(template)
        };
        read().map_err(|error: Error| error.in_context(source))
    }
}

/// What the flag or its variable gives, or the variable's other name; an empty one is as if it were not there.
fn given(value: Option<&str>, other: &str) -> Option<String> {
    let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
    value.or_else(|| env::var(other).ok()).filter(|value| !value.is_empty())
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
