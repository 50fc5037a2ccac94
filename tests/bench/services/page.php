<?php
// A page: rows are built, rendered and dropped.  The answer has the highest number of bytes that PHP had in use.
$rows = [];
for ($i = 0; $i < (int)$_SERVER['QUERY_STRING']; $i++) {
    $rows[] = ['id' => $i, 'name' => str_repeat('n', 20 + $i % 200), 'text' => str_repeat('t', 100 + $i * 7 % 900)];
}
$page = implode("\n", array_map(fn ($row) => "{$row['id']} {$row['name']} {$row['text']}", $rows));
echo 'done ', strlen($page), ' ', memory_get_peak_usage(), "\n";
