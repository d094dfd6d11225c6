/** Conversations and their messages over HTTP. */
import { and, asc, eq, gt } from 'drizzle-orm';
import { z } from 'zod';
import { conversationResponse, messageResponse } from '../calls/json.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import { CONVERSATION_STATUSES, conversations, messages } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { decodeCursor, numberedPageQuery, pageOf, pageQuery, toNumberedPage, toPage } from '../http/pagination.ts';
import { notFound } from '../http/problem.ts';

const access = { role: 'viewer', scope: 'calls:read' } as const;
const tags = ['calls'];
const params = z.object({ conversation_id: z.uuid() });

const columns = {
  id: conversations.id,
  callId: conversations.callId,
  status: conversations.status,
  startedAt: conversations.startedAt,
  endedAt: conversations.endedAt,
  createdAt: conversations.createdAt,
};
type Row = Pick<typeof conversations.$inferSelect, keyof typeof columns>;

export function conversationRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/conversations',
    {
      config: { access },
      schema: {
        operationId: 'listConversations',
        tags,
        summary: 'List conversations',
        querystring: z.strictObject({ ...pageQuery, status: z.enum(CONVERSATION_STATUSES).optional() }),
        response: { 200: pageOf(conversationResponse) },
      },
    },
    async (request) => {
      const { cursor, limit, status } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) =>
        tx
          .select(columns)
          .from(conversations)
          .where(
            and(status && eq(conversations.status, status), behind(after, conversations.createdAt, conversations.id)),
          )
          .orderBy(...newestFirst(conversations.createdAt, conversations.id))
          .limit(limit + 1),
      );
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), toJson);
    },
  );

  app.get(
    '/api/v1/conversations/:conversation_id',
    {
      config: { access },
      schema: {
        operationId: 'getConversation',
        tags,
        summary: 'Get a conversation',
        params,
        response: { 200: conversationResponse },
      },
    },
    async (request) => {
      const row = await read(deps, request, (tx) => findConversation(tx, request.params.conversation_id));
      if (!row) throw notFound('conversation');
      return toJson(row);
    },
  );

  messageRoute(app, deps);
}

function messageRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/conversations/:conversation_id/messages',
    {
      config: { access },
      schema: {
        operationId: 'listMessages',
        tags,
        summary: 'List the messages of a conversation',
        description: 'In the order in which they were said.',
        params,
        querystring: z.strictObject(numberedPageQuery({ min: 0, max: 2_147_483_647 })),
        response: { 200: pageOf(messageResponse) },
      },
    },
    async (request) => {
      const { conversation_id: id } = request.params;
      const { cursor, limit } = request.query;
      const rows = await read(deps, request, async (tx) => {
        if (!(await findConversation(tx, id))) throw notFound('conversation');
        return tx
          .select({
            seq: messages.seq,
            role: messages.role,
            text: messages.text,
            heard_text: messages.heardText,
            at_ms: messages.atMs,
            details: messages.details,
          })
          .from(messages)
          .where(and(eq(messages.conversationId, id), cursor === undefined ? undefined : gt(messages.seq, cursor)))
          .orderBy(asc(messages.seq))
          .limit(limit + 1);
      });
      return toNumberedPage(
        rows,
        limit,
        ({ seq }) => seq,
        (message) => message,
      );
    },
  );
}

async function findConversation(tx: Transaction, id: string): Promise<Row | undefined> {
  const [row] = await tx.select(columns).from(conversations).where(eq(conversations.id, id));
  return row;
}

function toJson(row: Row): z.infer<typeof conversationResponse> {
  return {
    id: row.id,
    call_id: row.callId,
    status: row.status,
    started_at: row.startedAt.toISOString(),
    ended_at: row.endedAt?.toISOString() ?? null,
    created_at: row.createdAt.toISOString(),
  };
}
