/**
 * A command in a pod as a value: it carries where it runs and how, prints itself, and does nothing until it is run.
 *
 * It is an `Effect` of its handle: `yield* command` starts it in the current scope.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Inspectable from "effect/Inspectable"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as CommandLine from "effect/process/CommandLine"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ExecHandle } from "./ExecHandle.ts"
import type { ExecOptions } from "./ExecOptions.ts"
import type { ExitedNonZero } from "./ExitedNonZero.ts"
import { startCommand } from "./session/startCommand.ts"
import * as Target from "./Target.ts"

const TypeId = "~@effect-k8s/channels/Command"

/** What binds a command to a cluster: anything that provides a `KubeClient`, and what a `feed` needs. */
export type Binding = Layer.Layer<never, unknown, unknown> | Context.Context<never>

/**
 * A command. `R` is what it needs, `E` what its exit code can fail with beyond `ChannelError` (by `check` and `feed`),
 * `S` what its start can fail with beyond `KubeError` (by the layer of `provide`).
 */
export interface Command<out R = KubeClient, out E = never, out S = never>
  extends Effect.Effect<ExecHandle<E>, KubeError | S, R | Scope.Scope>
{
  readonly [TypeId]: typeof TypeId
  readonly _tag: "Command"
  readonly target: Target.Target
  readonly argv: ReadonlyArray<CommandLine.Word>
  readonly options: ExecOptions
  /** A non-zero exit code is a failure. */
  readonly checked: boolean
  /** What is written to its stdin. */
  readonly input: Stream.Stream<Uint8Array, unknown, unknown> | undefined
  /** What provides its needs, the innermost first. */
  readonly bindings: ReadonlyArray<Binding>
}

/** Whether a value is a `Command`. */
export const isCommand = (u: unknown): u is Command<unknown, unknown, unknown> => Predicate.hasProperty(u, TypeId)

type Fields = Pick<Command<unknown, unknown, unknown>, "target" | "argv" | "options" | "checked" | "input" | "bindings">

const describe = (command: Fields): string => `${CommandLine.display(command.argv)} @ ${Target.format(command.target)}`

const Base = Effectable.Prototype<Command<unknown, unknown, unknown>>({
  label: "Command",
  evaluate() {
    return startCommand(this)
  }
})

const Proto = Object.assign(Object.create(Base), {
  [TypeId]: TypeId,
  _tag: "Command",
  toString(this: Fields) {
    return `Command(${describe(this)})`
  },
  toJSON(this: Fields) {
    return {
      _id: "Command",
      target: Target.format(this.target),
      command: CommandLine.display(this.argv)
    }
  },
  [Inspectable.NodeInspectSymbol](this: Fields) {
    return `Command(${describe(this)})`
  }
})

const make = <R, E, S>(fields: Fields): Command<R, E, S> => Object.assign(Object.create(Proto), fields)

/** The command with other fields. */
const change = <R, E, S>(self: Fields, fields: Partial<Fields>): Command<R, E, S> =>
  make({
    target: self.target,
    argv: self.argv,
    options: self.options,
    checked: self.checked,
    input: self.input,
    bindings: self.bindings,
    ...fields
  })

/** A command is called with its words, or written as a template. */
export interface On {
  /** The words as they are: no shell sees them. */
  (argv: ReadonlyArray<CommandLine.Word>): Command
  /**
   * The rules of `CommandLine.template`: quotes group words, each `${}` is one literal word, an array several. Shell
   * syntax (`|`, `>`, `$X`, `*`) throws at once.
   */
  (strings: TemplateStringsArray, ...expressions: ReadonlyArray<CommandLine.TemplateExpression>): Command
}

const isTemplate = (
  value: TemplateStringsArray | ReadonlyArray<CommandLine.Word>
): value is TemplateStringsArray => "raw" in value

/**
 * Commands in a container.
 *
 * @example
 * ```ts
 * import * as Exec from "@effect-k8s/channels/Exec"
 * import * as Target from "@effect-k8s/channels/Target"
 *
 * const db = Target.pod("db-0", { namespace: "shop", container: "postgres" })
 * String(Exec.on(db)`pg_dump --clean shop`) // => "Command(pg_dump --clean shop @ shop/db-0/postgres)"
 * String(Exec.on(db)(["sh", "-c", "ls | wc -l"])) // => "Command(sh -c 'ls | wc -l' @ shop/db-0/postgres)"
 * ```
 */
export const on = (target: Target.Target, options: ExecOptions = {}): On =>
(
  first: TemplateStringsArray | ReadonlyArray<CommandLine.Word>,
  ...expressions: ReadonlyArray<CommandLine.TemplateExpression>
): Command =>
  make({
    target,
    argv: isTemplate(first) ? Result.getOrThrow(CommandLine.template(first, ...expressions)) : first,
    options,
    checked: false,
    input: undefined,
    bindings: []
  })

/** The command with other options over its own. */
export const withOptions = <R, E, S>(self: Command<R, E, S>, options: ExecOptions): Command<R, E, S> =>
  change(self, { options: { ...self.options, ...options } })

/** The command, failing with `ExitedNonZero` when its exit code is not 0. */
export const check = <R, E, S>(self: Command<R, E, S>): Command<R, E | ExitedNonZero, S> =>
  change(self, { checked: true })

/** The command with a stream for its stdin. */
export const withInput = <R, E, S, E2, R2>(
  self: Command<R, E, S>,
  input: Stream.Stream<Uint8Array, E2, R2>
): Command<R | R2, E | E2, S> => change(self, { options: { ...self.options, stdin: "pipe" }, input })

/** The command without its check, for who has more to say of a failure. */
export const unchecked = <R, E, S>(self: Command<R, E, S>): Command<R, E, S> => change(self, { checked: false })

/** The command without its check and its input: a pipeline has its own way with both. */
export const plain = <R, E, S>(self: Command<R, E, S>): Command<R, never, S> =>
  change(self, { checked: false, input: undefined })

/** A stream with what the command is bound to. The innermost binding comes first: outer ones provide for it. */
export const bound = (
  { bindings }: Command<unknown, unknown, unknown>,
  stream: Stream.Stream<Uint8Array, unknown, unknown>
): Stream.Stream<Uint8Array, unknown, unknown> =>
  bindings.reduce((inner, binding) => Stream.provide(inner, binding), stream)

/** The command with a part of its needs provided. A layer is built in the scope that the command runs in. */
export const bind = <R, E, S, I, E2, R2>(
  self: Command<R, E, S>,
  binding: Layer.Layer<I, E2, R2> | Context.Context<I>
): Command<Exclude<R, I> | R2, E, S | E2> => change(self, { bindings: [...self.bindings, binding as Binding] })
