// Runs statements of Flink SQL in this JVM, one after another, and prints their rows as JSON lines. The statements are read from
// standard input, one a line; those that are no query (CREATE, ALTER) print nothing. For the query number Q, counted from 0:
//   {"query":Q,"columns":["name TYPE", …]}     first
//   {"query":Q,"row":["1970-01-01T00:00:00.000000Z","7",null, …]}     then each row; every value is a text or null

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

public class Rows {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final DateTimeFormatter MICROS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'");
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  public static void main(String[] arguments) throws Exception {
    TableEnvironment tables = environment();
    BufferedReader statements = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    int query = 0;
    for (String statement; (statement = statements.readLine()) != null; ) {
      if (statement.startsWith("CREATE") || statement.startsWith("ALTER")) {
        tables.executeSql(statement).await();
      } else {
        run(query++, tables, statement);
      }
    }
    // Threads of the cluster may still run.
    System.exit(0);
  }

  // Two tasks of each operator, so that rows are shuffled and watermarks come from two places. One phase of aggregation: the
  // first of two (LocalSlicingWindowAggOperator of Flink 2.2) takes no notice of watermarks before 1970, passes its rows on
  // when their windows have closed, and so they are lost. Where watermarks are periodic, none comes before the end.
  private static TableEnvironment environment() {
    Configuration configuration = Configuration.fromMap(Map.of(
        "parallelism.default", "2",
        "taskmanager.numberOfTaskSlots", "2",
        "taskmanager.memory.managed.size", "256m",
        "taskmanager.memory.network.min", "64m",
        "taskmanager.memory.network.max", "64m",
        "restart-strategy.type", "none",
        "pipeline.auto-watermark-interval", "1 h",
        "table.optimizer.agg-phase-strategy", "ONE_PHASE",
        "table.local-time-zone", "UTC"));
    return TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
  }

  private static void run(int query, TableEnvironment tables, String statement) throws Exception {
    TableResult result = tables.executeSql(statement);
    List<String> columns = new ArrayList<>();
    result.getResolvedSchema().getColumns().forEach(column ->
        columns.add(column.getName() + " " + column.getDataType().getLogicalType().getTypeRoot()));
    print(query, "columns", columns);
    try (CloseableIterator<Row> rows = result.collect()) {
      while (rows.hasNext()) {
        Row row = rows.next();
        if (row.getKind() != RowKind.INSERT) {
          throw new IllegalStateException("a window's row was changed: " + row + " of " + statement);
        }
        List<String> values = new ArrayList<>();
        for (int column = 0; column < row.getArity(); column++) {
          values.add(text(row.getField(column)));
        }
        print(query, "row", values);
      }
    }
    OUT.flush();
  }

  private static void print(int query, String name, List<String> values) throws Exception {
    OUT.println(JSON.writeValueAsString(Map.of("query", query, name, values)));
  }

  private static String text(Object value) {
    if (value instanceof LocalDateTime) {
      return ((LocalDateTime) value).format(MICROS);
    }
    if (value instanceof Instant) {
      return ((Instant) value).atOffset(ZoneOffset.UTC).format(MICROS);
    }
    return value == null ? null : value.toString();
  }
}
