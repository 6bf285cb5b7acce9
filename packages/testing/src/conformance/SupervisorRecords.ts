/**
 * The supervisor's records as a scripted peer writes them, in place of a supervisor.
 */
import { marker } from "@effect-k8s/channels/protocol/SupervisorScript"
import type { ExecCall } from "../pods/ExecCall.ts"

const prefix = ({ command }: ExecCall): string | undefined =>
  command.find((word) => word.charCodeAt(0) === marker && word.length === 33)

/** The first record on stdout, or nothing for a bare command. */
export const started = (call: ExecCall): string => {
  const begin = prefix(call)
  return begin === undefined ? "" : `${begin}@1\n`
}

/** The record at the end of each output, or nothing for a bare command. */
export const ended = (call: ExecCall, code: number): string => {
  const begin = prefix(call)
  return begin === undefined ? "" : `${begin}:${code}\n`
}
