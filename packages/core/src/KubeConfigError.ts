/**
 * What can be wrong with a kubeconfig, an in-cluster configuration, or the proxy settings of the environment.
 *
 * Messages name the file, the key or the line, and say what to do. No reason keeps a value of a secret key, or the text
 * of a file; control characters of names and paths are written as code points.
 */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import { listed, printable } from "./internal/printable.ts"

const TypeId = "~@effect-k8s/core/KubeConfigError"

/** A key of a kubeconfig file. Entries of lists are named: `clusters["prod"].cluster.server`. */
export interface Place {
  readonly file: string
  readonly key: string
}

const at = (place: Place): string => `${printable(place.key)} in ${printable(place.file)}`

const because = (cause: unknown): string =>
  cause instanceof Error && cause.message !== "" ? ` (${printable(cause.message)})` : ""

/** None of the kubeconfigs looked for exists, and this is not a pod with a service account. */
export class NoConfiguration extends Data.TaggedError("NoConfiguration")<{
  /** The files that were looked for. */
  readonly files: ReadonlyArray<string>
  /** What named them: the caller, the environment variable, or the default in the home directory. */
  readonly source: "options" | "KUBECONFIG" | "home"
  /** What an in-cluster configuration lacks, where one was tried. */
  readonly inCluster?: ReadonlyArray<string> | undefined
}> {
  override get message(): string {
    const files = this.files.map(printable).join(", ")
    const looked = {
      options: `none of the files named exists (${files})`,
      KUBECONFIG: `no file of KUBECONFIG exists (${files})`,
      home: files === ""
        ? "neither KUBECONFIG nor a home directory is set"
        : `KUBECONFIG is not set, and there is no ${files}`
    }[this.source]
    const inCluster = this.inCluster === undefined
      ? ""
      : `, and this is not a pod with a service account (${this.inCluster.map(printable).join(" and ")} missing)`
    return `no Kubernetes configuration was found: ${looked}${inCluster}; set KUBECONFIG or name a kubeconfig file`
  }
}

/** A kubeconfig that was asked for does not exist. */
export class FileMissing extends Data.TaggedError("FileMissing")<{ readonly file: string }> {
  override get message(): string {
    return `the kubeconfig ${printable(this.file)} does not exist; check the path`
  }
}

/** A kubeconfig could not be read: permission, or not a file. */
export class FileUnreadable extends Data.TaggedError("FileUnreadable")<{
  readonly file: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the kubeconfig ${printable(this.file)} could not be read${
      because(this.cause)
    }; check that it is a file and that this process may read it`
  }
}

/** A kubeconfig is not YAML, or uses parts of YAML that are not supported. */
export class NotYaml extends Data.TaggedError("NotYaml")<{
  readonly file: string
  /** The line, counted from 1. */
  readonly line: number
  /** What the parser met. */
  readonly problem: string
}> {
  override get message(): string {
    return `the kubeconfig ${
      printable(this.file)
    } is not valid YAML at line ${this.line} (${this.problem}); correct the line, or have kubectl config view --raw write the file anew`
  }
}

/** The text is YAML, but has not the shape of a kubeconfig. */
export class NotKubeConfig extends Data.TaggedError("NotKubeConfig")<{
  readonly file: string
  /** Where, as in `users[0].user.token`; empty for the document itself. */
  readonly key: string
  /** What has to be there. */
  readonly expected: string
}> {
  override get message(): string {
    const what = this.key === "" ? "the document" : printable(this.key)
    return `${printable(this.file)} is not a valid kubeconfig: ${what} must be ${this.expected}; correct it`
  }
}

/** Two entries of one list of a file have the same name. kubectl refuses the file as well. */
export class DuplicateName extends Data.TaggedError("DuplicateName")<{
  readonly file: string
  readonly list: "clusters" | "contexts" | "users"
  readonly name: string
}> {
  override get message(): string {
    return `${this.list} in ${printable(this.file)} has several entries with the name "${
      printable(this.name)
    }"; rename or remove all but one`
  }
}

/** The files exist, but name no cluster, context or user. */
export class Empty extends Data.TaggedError("Empty")<{ readonly files: ReadonlyArray<string> }> {
  override get message(): string {
    return `the kubeconfig ${
      this.files.map(printable).join(", ")
    } is empty: it has no clusters, contexts or users; write one, or set KUBECONFIG to another file`
  }
}

/** No context was asked for, and `current-context` is not set. */
export class NoCurrentContext extends Data.TaggedError("NoCurrentContext")<{
  readonly files: ReadonlyArray<string>
  /** The contexts there are. */
  readonly contexts: ReadonlyArray<string>
}> {
  override get message(): string {
    const choice = this.contexts.length === 0 ?
      "there are none to choose from" :
      `choose one of ${listed(this.contexts)}`
    return `current-context is not set in ${
      this.files.map(printable).join(", ")
    }; ask for a context by name, or set one with kubectl config use-context (${choice})`
  }
}

/** There is no context of this name. */
export class ContextNotFound extends Data.TaggedError("ContextNotFound")<{
  readonly files: ReadonlyArray<string>
  readonly context: string
  /** The contexts there are. */
  readonly contexts: ReadonlyArray<string>
}> {
  override get message(): string {
    const choice = this.contexts.length === 0 ? "there are no contexts" : `choose one of ${listed(this.contexts)}`
    return `context "${printable(this.context)}" does not exist in ${this.files.map(printable).join(", ")}; ${choice}`
  }
}

/** A context names a cluster or user that does not exist, or no cluster at all. */
export class ReferenceNotFound extends Data.TaggedError("ReferenceNotFound")<
  Place & {
    readonly list: "clusters" | "users"
    /** The name, if there is one. */
    readonly name?: string | undefined
    /** The names there are. */
    readonly names: ReadonlyArray<string>
  }
> {
  override get message(): string {
    const choice = this.names.length === 0 ? `there are no ${this.list}` : `choose one of ${listed(this.names)}`
    return this.name === undefined
      ? `${at(this)} is not set; ${choice}`
      : `${at(this)} is "${printable(this.name)}", which is not in ${this.list}; ${choice}`
  }
}

/** A `*-data` key does not hold base64. */
export class InvalidBase64 extends Data.TaggedError("InvalidBase64")<Place> {
  override get message(): string {
    return `${at(this)} is not base64; encode the PEM file in one line, or give its path without -data in the key`
  }
}

/** A certificate or key is not PEM. */
export class InvalidPem extends Data.TaggedError("InvalidPem")<
  Place & {
    /** The file that the key names, where it names one. */
    readonly path?: string | undefined
    readonly expected: "CERTIFICATE" | "PRIVATE KEY"
  }
> {
  override get message(): string {
    const where = this.path === undefined ? at(this) : `${printable(this.path)} (${at(this)})`
    return `${where} holds no PEM block of the kind ${this.expected}; check that the right file was used, and convert DER to PEM`
  }
}

/** A key that names a file holds a certificate, a key or a token instead. Nothing of it is kept. */
export class DataInsteadOfPath extends Data.TaggedError("DataInsteadOfPath")<Place> {
  override get message(): string {
    const key = this.key.slice(this.key.lastIndexOf(".") + 1)
    const use = key === "tokenFile" ? "token" : `${key}-data, as base64 of the PEM text`
    return `${at(this)} holds data, not the path of a file; move it to ${use}`
  }
}

/** A file that a kubeconfig names does not exist. */
export class ReferencedFileMissing extends Data.TaggedError("ReferencedFileMissing")<
  Place & { readonly path: string }
> {
  override get message(): string {
    return `${printable(this.path)}, named by ${
      at(this)
    }, does not exist; check the path (it is relative to the kubeconfig)`
  }
}

/** A file that a kubeconfig names could not be read, or is empty. */
export class ReferencedFileUnreadable extends Data.TaggedError("ReferencedFileUnreadable")<
  Place & { readonly path: string; readonly cause?: unknown }
> {
  override get message(): string {
    return `${printable(this.path)}, named by ${at(this)}, could not be read or is empty${
      because(this.cause)
    }; check its content and that this process may read it`
  }
}

/** The server of a cluster is not set, or not a URL that can be used. */
export class InvalidServer extends Data.TaggedError("InvalidServer")<Place & { readonly problem: string }> {
  override get message(): string {
    return `${at(this)} ${printable(this.problem)}; write it as https://host:port`
  }
}

/** A proxy URL cannot be used. */
export class InvalidProxy extends Data.TaggedError("InvalidProxy")<{
  /** Where it comes from: a key of a kubeconfig, or an environment variable. */
  readonly source: string
  readonly problem: string
}> {
  override get message(): string {
    return `the proxy URL of ${printable(this.source)} ${
      printable(this.problem)
    }; write it as http://, https:// or socks5://, then host:port`
  }
}

/** Keys that exclude each other are set. */
export class ConflictingKeys
  extends Data.TaggedError("ConflictingKeys")<Place & { readonly keys: ReadonlyArray<string> }>
{
  override get message(): string {
    return `${at(this)} sets ${this.keys.join(" and ")}, of which only one can be used; remove the others`
  }
}

/** Groups, uid or extra are to be impersonated without a user. */
export class ImpersonationWithoutUser
  extends Data.TaggedError("ImpersonationWithoutUser")<Place & { readonly keys: ReadonlyArray<string> }>
{
  override get message(): string {
    return `${at(this)} sets ${this.keys.join(" and ")} without as; name the user to impersonate in as`
  }
}

/** A client certificate has no private key. */
export class CertificateWithoutKey extends Data.TaggedError("CertificateWithoutKey")<Place> {
  override get message(): string {
    return `${at(this)} has a client certificate without a key; set client-key or client-key-data`
  }
}

/** The user's credentials come from an exec plugin, which is not supported yet. */
export class ExecUnsupported extends Data.TaggedError("ExecUnsupported")<
  Place & {
    /** The name of the program, without directory and arguments; empty if the command is no program's name. */
    readonly command: string
  }
> {
  override get message(): string {
    return `${at(this)} runs ${
      this.command === "" ? "a credential plugin" : `the credential plugin "${printable(this.command)}"`
    }, and exec plugins are not supported yet; use a token (kubectl create token) or a client certificate`
  }
}

/** The user's credentials come from an `auth-provider`, a form that Kubernetes has removed. */
export class AuthProviderRemoved
  extends Data.TaggedError("AuthProviderRemoved")<Place & { readonly provider: string }>
{
  override get message(): string {
    return `${at(this)} uses the auth provider "${
      printable(this.provider)
    }", a form that was removed from Kubernetes; have the provider's tool write the kubeconfig anew`
  }
}

/** This process does not run in a pod with a service account. */
export class NotInCluster extends Data.TaggedError("NotInCluster")<{
  /** The environment variables and files that are missing. */
  readonly missing: ReadonlyArray<string>
}> {
  override get message(): string {
    return `there is no in-cluster configuration (${
      this.missing.map(printable).join(" and ")
    } missing); run in a pod with automountServiceAccountToken, or use a kubeconfig`
  }
}

/** An environment variable could not be read from the `ConfigProvider`. */
export class EnvironmentUnreadable extends Data.TaggedError("EnvironmentUnreadable")<{
  readonly variable: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the environment variable ${this.variable} could not be read${
      because(this.cause)
    }; check the ConfigProvider and this process's permissions`
  }
}

/** Why a configuration cannot be used. */
export type KubeConfigErrorReason =
  | NoConfiguration
  | FileMissing
  | FileUnreadable
  | NotYaml
  | NotKubeConfig
  | DuplicateName
  | Empty
  | NoCurrentContext
  | ContextNotFound
  | ReferenceNotFound
  | InvalidBase64
  | InvalidPem
  | DataInsteadOfPath
  | ReferencedFileMissing
  | ReferencedFileUnreadable
  | InvalidServer
  | InvalidProxy
  | ConflictingKeys
  | ImpersonationWithoutUser
  | CertificateWithoutKey
  | ExecUnsupported
  | AuthProviderRemoved
  | NotInCluster
  | EnvironmentUnreadable

/** A configuration cannot be used. */
export class KubeConfigError extends Data.TaggedError("KubeConfigError")<{ readonly reason: KubeConfigErrorReason }> {
  readonly [TypeId] = TypeId

  override get message(): string {
    return this.reason.message
  }
}

/** Whether a value is a `KubeConfigError`. */
export const isKubeConfigError = (u: unknown): u is KubeConfigError => Predicate.hasProperty(u, TypeId)
