// What @openai/agents-realtime's own parser makes of an event. It is not exported, hence the path.
import { parseRealtimeEvent } from './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';

/** Why the client would drop the event or pass it on unread; '' if it takes it. */
export function refusal(event) {
  const { data, isGeneric } = parseRealtimeEvent({ data: JSON.stringify(event) });
  if (data === null) return 'dropped';
  return isGeneric ? 'not understood' : '';
}
