/**
 * How a channel fails once its session exists: one error, with a tagged reason.
 *
 * Until then a channel fails with `KubeError`. An outcome that is not known is never a success, and a lost connection is
 * never a clean end.
 */
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"

const TypeId = "~@effect-k8s/channels/ChannelError"

/** What the channel is, in words for messages and spans. Holds no secret: redacted words show as `<redacted>`. */
export interface ChannelInfo {
  readonly namespace: string
  readonly pod: string
  readonly container: string | undefined
  /** The command line, for reading. */
  readonly command: string
  readonly server: string
  /** `websocket v5.channel.k8s.io`, `spdy v4.channel.k8s.io`. */
  readonly protocol: string
  /** What was tried before, and refused. */
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
}

/** The connection ended or was reset before the outcome was known. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  /** Bytes of output received before. */
  readonly bytesReceived: number
  /** The close code of the protocol, if it said goodbye without an outcome. */
  readonly closeCode?: number | undefined
  readonly cause?: unknown
  /** What was lost: a command unless told. */
  readonly of?: "command" | "forwarded port" | undefined
}> {
  override get message(): string {
    return this.of === "forwarded port"
      ? `the connection was lost after ${this.bytesReceived} bytes were received; how much the pod has received is not known`
      : `the connection was lost after ${this.bytesReceived} bytes of output; whether the command has ended, and how, is not known`
  }
}

/** The session ended in order, but did not say how the command ended, or not credibly. */
export class OutcomeUnknown extends Data.TaggedError("OutcomeUnknown")<{
  readonly bytesReceived: number
  readonly closeCode?: number | undefined
  /** What is missing or contradicts. */
  readonly description: string
  /** The exit code that the server, or the supervisor on one output alone, reported: not to be trusted. */
  readonly reportedExitCode?: number | undefined
}> {
  override get message(): string {
    return `${this.description} (${this.bytesReceived} bytes of output${
      this.closeCode === undefined ? "" : `, close code ${this.closeCode}`
    }); the output may be cut short`
  }
}

/** The peer was silent for longer than the deadline, although it was asked to answer. */
export class PeerStalled extends Data.TaggedError("PeerStalled")<{ readonly silentMillis: number }> {
  override get message(): string {
    return `the server was silent for ${this.silentMillis} ms and did not answer a ping; check the network, tunnels and proxies on the way`
  }
}

/** The server broke the protocol. */
export class ProtocolViolation extends Data.TaggedError("ProtocolViolation")<{ readonly description: string }> {
  override get message(): string {
    return `${this.description}; check for proxies that change the traffic of upgraded connections`
  }
}

/** An output that nobody reads is full, and something waits for what comes behind it. */
export class UnreadOutput extends Data.TaggedError("UnreadOutput")<{
  readonly stream: "stdout" | "stderr"
  readonly bufferedBytes: number
}> {
  override get message(): string {
    return `nobody reads ${this.stream}, its buffer is full (${this.bufferedBytes} bytes), and everything behind it waits; read it, or set ${this.stream}: "ignore"`
  }
}

/** There is no such program in the container, or the interpreter that it names is not there. */
export class CommandNotFound extends Data.TaggedError("CommandNotFound")<{
  readonly program: string
  /** What the runtime said, where it was the runtime that said it. */
  readonly description?: string | undefined
}> {
  override get message(): string {
    return `${this.program} was not found in the container; check its name, the PATH and the image`
  }
}

/** The program is there but cannot be executed. */
export class CommandNotExecutable extends Data.TaggedError("CommandNotExecutable")<{
  readonly program: string
  readonly description?: string | undefined
}> {
  override get message(): string {
    return `${this.program} is in the container but is not executable; check its mode and its file format`
  }
}

/** The working directory cannot be entered. */
export class NoWorkingDirectory extends Data.TaggedError("NoWorkingDirectory")<{
  readonly directory: string
  readonly description?: string | undefined
}> {
  override get message(): string {
    return `the working directory ${this.directory} cannot be entered; check that it exists in the container`
  }
}

/**
 * The container's `sh`, which sets the variables, keeps one of them for itself: bash as `sh` does so with UID. Nothing was
 * started.
 */
export class VariableKept extends Data.TaggedError("VariableKept")<{
  /** The variable; all that come into question, where it is not known which one it is. */
  readonly names: ReadonlyArray<string>
}> {
  override get message(): string {
    const [name = "NAME"] = this.names
    return `the container's sh keeps ${
      this.names.length === 1 ? name : `one of ${this.names.join(", ")}`
    } for itself, so nothing was started; take it out of env and let the command set it: ["env", "${name}=...", program, ...]`
  }
}

/** The server failed to run the command, for a reason of its own. */
export class RemoteFailure extends Data.TaggedError("RemoteFailure")<{
  readonly description: string
  /** The reason of the Status. */
  readonly statusReason?: string | undefined
  /** The code of the Status. */
  readonly code?: number | undefined
}> {
  override get message(): string {
    return `the server could not run the command: ${this.description}`
  }
}

/** The process cannot be signalled. */
export class KillUnsupported extends Data.TaggedError("KillUnsupported")<{ readonly description: string }> {
  override get message(): string {
    return this.description
  }
}

/** The signal could not be brought to the process: it is sent by an exec of its own, which failed. */
export class KillFailed extends Data.TaggedError("KillFailed")<{
  readonly signal: string
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.signal} could not be sent, so the process may run on: ${this.description}`
  }
}

/** The stream of an attach has ended, but its container runs on. */
export class StillRunning extends Data.TaggedError("StillRunning")<{ readonly containerId: string }> {
  override get message(): string {
    return "the stream has ended but the container runs on, so it has no exit code yet; attach again"
  }
}

/** Something was written to a command that was started without a stdin. */
export class StdinNotPiped extends Data.TaggedError("StdinNotPiped")<{}> {
  override get message(): string {
    return "the command was started without a stdin to write to; start it with stdin: \"pipe\""
  }
}

/** A command without the supervisor ended before it had read its stdin: what it read of it cannot be known. */
export class StdinUnconsumed extends Data.TaggedError("StdinUnconsumed")<{ readonly bytesSent: number }> {
  override get message(): string {
    return `the command ended before its stdin did (${this.bytesSent} bytes were sent, but how many were read is not known); run it supervised to have it told apart`
  }
}

/** What feeds the command has failed: its stdin was cut short, and so is its output. */
export class InputFailed extends Data.TaggedError("InputFailed")<{
  /** What the feed failed with; the exit code fails with the same. */
  readonly cause: unknown
}> {
  override get message(): string {
    return "what feeds its stdin has failed, so the command was given up; see the cause"
  }
}

/** Nothing takes connections at the port of the pod, or not from where the server connects: its own loopback. */
export class PortRefused extends Data.TaggedError("PortRefused")<{
  readonly port: number
  /** What the server said. */
  readonly description: string
}> {
  override get message(): string {
    return `nothing in the pod takes connections at port ${this.port} (${
      this.description || "the server reset the connection"
    }); check that the program listens, and on all addresses or the loopback`
  }
}

/** The pod, or the server on its behalf, has broken off the connection. */
export class PortReset extends Data.TaggedError("PortReset")<{
  readonly port: number
  readonly bytesReceived: number
  /** What the server said; empty where it reset the connection without a word. */
  readonly description: string
}> {
  override get message(): string {
    return `the connection to port ${this.port} was broken off after ${this.bytesReceived} bytes were received (${
      this.description || "without a reason"
    })`
  }
}

/** The pod has ended, or another has taken its name. */
export class PodGone extends Data.TaggedError("PodGone")<{
  readonly port: number
  /** What the server said. */
  readonly description: string
}> {
  override get message(): string {
    return `the pod is gone (${this.description}); connect again when another has taken its place`
  }
}

/** The buffer of a forwarded connection is full, nobody takes anything from it, and others that share its socket wait. */
export class UnreadConnection extends Data.TaggedError("UnreadConnection")<{
  readonly port: number
  readonly bufferedBytes: number
}> {
  override get message(): string {
    return `nobody reads the connection to port ${this.port}, or its reader has stopped, its buffer is full (${this.bufferedBytes} bytes), and other connections wait behind it; read it, or close it`
  }
}

/** Why a channel failed. */
export type ChannelErrorReason =
  | ConnectionLost
  | OutcomeUnknown
  | PeerStalled
  | ProtocolViolation
  | UnreadOutput
  | CommandNotFound
  | CommandNotExecutable
  | NoWorkingDirectory
  | VariableKept
  | RemoteFailure
  | KillUnsupported
  | KillFailed
  | StillRunning
  | StdinNotPiped
  | StdinUnconsumed
  | InputFailed
  | PortRefused
  | PortReset
  | PodGone
  | UnreadConnection

/** A channel that failed after it had opened. */
export class ChannelError extends Data.TaggedError("ChannelError")<{
  readonly reason: ChannelErrorReason
  readonly channel: ChannelInfo
}> {
  readonly [TypeId] = TypeId

  override get message(): string {
    const { attempts, command, container, namespace, pod, protocol, server } = this.channel
    const where = container === undefined
      ? `pod ${namespace}/${pod}`
      : `pod ${namespace}/${pod}, container ${container}`
    const used = [protocol, ...attempts.map((attempt) => `after ${KubeError.describeAttempt(attempt)}`)].join(", ")
    return `${command} in ${where} at ${server} (${used}): ${this.reason.message}`
  }
}

/** Whether a value is a `ChannelError`. */
export const isChannelError = (u: unknown): u is ChannelError => Predicate.hasProperty(u, TypeId)
