# Apache's Java client.
"${jvm[@]}" -cp "$tools" Main "$boot" java java-admin
