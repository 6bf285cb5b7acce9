/**
 * A command that was started: its streams, its outcome, its protocol.
 *
 * The names are those of Effect's `ChildProcessHandle`. The scope that started the command owns it: when it closes, the
 * connection is closed, and a supervised command ends with it unless `onClose` is `"leave"`.
 */
import type { UpgradeAttempt } from "@effect-k8s/core/KubeError"
import type * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import type { KillOptions } from "effect/process/ChildProcess"
import type { ExitCode } from "effect/process/ChildProcessSpawner"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { ChannelError, ChannelInfo } from "./ChannelError.ts"
import type { Transport } from "./connection/Connection.ts"
import type { TerminalSize } from "./protocol/RemoteCommand.ts"

const TypeId = "~@effect-k8s/channels/ExecHandle"

/** Whether each output is known to be complete. Both are `false` for a command without the supervisor. */
export interface Verified {
  readonly stdout: boolean
  readonly stderr: boolean
}

/** Bytes of the command's own data so far, and milliseconds since it was asked to start. */
export interface Stats {
  readonly stdinBytes: number
  readonly stdoutBytes: number
  readonly stderrBytes: number
  readonly durationMillis: number
}

/** The Status that a server sends at the end, as it came. */
export type RawStatus = Readonly<Record<string, unknown>>

/** A running command. `E` is what `Exec.check` adds. */
export interface ExecHandle<out E = never> {
  readonly [TypeId]: typeof TypeId
  readonly info: ChannelInfo
  /** The subprotocol in use: `v5.channel.k8s.io`. */
  readonly protocol: string
  /** What carries it. */
  readonly transport: Transport
  /**
   * What was offered before and refused; nothing was started by it, unless `fallback` allowed to go on after an answer
   * that may have.
   */
  readonly attempts: ReadonlyArray<UpgradeAttempt>
  /** Whether the supervisor runs the command, so that its outcome can be trusted. */
  readonly supervised: boolean
  /** The process group in the container; known of a supervised command. */
  readonly processGroup: number | undefined
  /**
   * The command's stdin. Its end ends the command's stdin; on a terminal it sends ^D. It is done early, without a
   * failure, when the command takes no more.
   */
  readonly stdin: Sink.Sink<void, Uint8Array, never, ChannelError>
  /** Bytes as they come. It ends when the output is complete, and fails when that cannot be known. */
  readonly stdout: Stream.Stream<Uint8Array, ChannelError>
  /** As `stdout`. On a terminal everything comes on `stdout`. */
  readonly stderr: Stream.Stream<Uint8Array, ChannelError>
  /** Both outputs as they come; the order between the two is not kept. */
  readonly all: Stream.Stream<Uint8Array, ChannelError>
  /** The exit code, of 32 bits. Every other end is a failure; a missing status is never success. */
  readonly exitCode: Effect.Effect<ExitCode, ChannelError | E>
  /** Whether each output is known to be complete, once the command has ended. */
  readonly verified: Effect.Effect<Verified, ChannelError>
  readonly isRunning: Effect.Effect<boolean>
  /**
   * Signals the command and its children, SIGTERM unless told, and waits for its end; `forceKillAfter` sends SIGKILL to
   * what has not ended by then. The supervisor lives on, so the outcome is as good as any: 143 after SIGTERM, 137 after
   * SIGKILL, `verified`. Nothing if the command has ended.
   *
   * It is a second exec of `sh`, which finds the processes in `/proc` and leaves those alone that are not the command's
   * own; only SIGTERM without `forceKillAfter` for a command without stdin needs none (but over v4), and SIGKILL follows it
   * after two seconds. There the supervisor has a second more to tell the end; when it cannot, because its outputs are full
   * and not read or because `/proc` does not list its children, it is killed too, and the outcome is not known. When the
   * session was lost before, the signal is sent and nothing is waited for.
   *
   * Fails with `KillUnsupported` without the supervisor and for a signal that the container's `sh` does not know, with
   * `KillFailed` when the second exec fails, and otherwise as `exitCode` does.
   */
  readonly kill: (options?: KillOptions) => Effect.Effect<void, ChannelError>
  /** Sets the size of the terminal, in characters. Nothing without a terminal. */
  readonly resize: (size: TerminalSize) => Effect.Effect<void>
  /** The server's Status; fails when there was none that can be read. A supervised command does not need it. */
  readonly status: Effect.Effect<RawStatus, ChannelError>
  readonly stats: Effect.Effect<Stats>
}

/** Whether a value is an `ExecHandle`. */
export const isExecHandle = (u: unknown): u is ExecHandle => Predicate.hasProperty(u, TypeId)

const Proto = {
  [TypeId]: TypeId,
  ...Inspectable.BaseProto,
  toJSON(this: ExecHandle) {
    return { _id: "ExecHandle", info: this.info, protocol: this.protocol, supervised: this.supervised }
  }
}

/** Makes a handle. Getters stay getters: what carries a command can change once, before anything has come of it. */
export const make = <E>(fields: Omit<ExecHandle<E>, typeof TypeId>): ExecHandle<E> =>
  Object.defineProperties(Object.create(Proto), Object.getOwnPropertyDescriptors(fields))

/** The handle with other fields; its exit code, whose failures its type tells, among them. */
export const change = <E>(
  self: ExecHandle<unknown>,
  fields: Partial<Omit<ExecHandle<E>, typeof TypeId>> & Pick<ExecHandle<E>, "exitCode">
): ExecHandle<E> =>
  Object.defineProperties(Object.create(Proto), {
    ...Object.getOwnPropertyDescriptors(self),
    ...Object.getOwnPropertyDescriptors(fields)
  })
