// Feeds recorded server events to a whole session of @openai/agents-realtime, and to its parser.
// node replay.mjs FILE...  Each holds {"script": [{"from": "server", "event": ...}, ...]}. Prints, as one line of JSON, what became
// of each file.
import { readFileSync } from 'node:fs';

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';

import { refusal } from './parser.mjs';

/** What the client uses of a WebSocket, with a recording at its other end. */
class Recording {
  #listeners = [];

  addEventListener(type, listener) {
    if (type === 'message') this.#listeners.push(listener);
  }

  play(event) {
    for (const listener of this.#listeners) listener({ data: JSON.stringify(event) });
  }

  send() {}

  close() {}
}

async function replay(events) {
  const recording = new Recording();
  const transport = new OpenAIRealtimeWebSocket({
    url: 'ws://recorded',
    createWebSocket: async () => recording,
    skipOpenEventListeners: true,
  });
  const session = new RealtimeSession(new RealtimeAgent({ name: 'host' }), { transport, tracingDisabled: true });
  const result = { events: events.length, taken: 0, refused: [], history: [] };
  session.on('error', ({ error }) => {
    if (error?.type !== 'error' && error?.error?.type !== 'error') result.refused.push(`the session: ${error?.message ?? JSON.stringify(error)}`);
  });
  await session.connect({ apiKey: 'none needed' });
  transport.on('*', () => (result.taken += 1));
  for (const [place, event] of events.entries()) {
    const why = refusal(event);
    if (why) result.refused.push(`${place} ${event.type}: ${why}`);
    try {
      recording.play(event);
    } catch (error) {
      result.refused.push(`${place} ${event.type}: ${error.message}`);
    }
  }
  result.history = session.history.map((item) => item.itemId);
  session.close();
  return result;
}

const results = {};
for (const file of process.argv.slice(2)) {
  const { script } = JSON.parse(readFileSync(file, 'utf8'));
  results[file] = await replay(script.filter(({ from }) => from === 'server').map(({ event }) => event));
}
console.log(JSON.stringify(results));
